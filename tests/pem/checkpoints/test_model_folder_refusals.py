"""Folders without a supported model are refused in one line with the cure, mostly before any tensor is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pem_edge import pem
from pem_edge.export.cli import export
from pem_edge.pem.checkpoints import open_checkpoint
from pem_edge.pem.checkpoints.descriptions import transformers_config
from pem_edge.pem.checkpoints.identify import identify
from pem_edge.runtime.errors import CheckpointError

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 190000000\n"
CLASSES = {"0": "road", "1": "sky", "2": "car"}
CONFIG: dict[str, Any] = {
    "model_type": "mask2former",
    "architectures": ["Mask2FormerForUniversalSegmentation"],
    "id2label": CLASSES,
    "backbone_config": {"model_type": "swin"},
}
TENSORS = {
    "class_predictor.bias": torch.zeros(4),
    "model.transformer_module.queries_features.weight": torch.zeros(10, 256),
    "model.pixel_level_module.decoder.level_embed": torch.zeros(3, 256),
}
"""A few of a model's tensors: what goes wrong before they are read, is not said of them."""

Spoil = Callable[[Path], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "roads-panoptic"
    made.mkdir()
    (made / "config.json").write_text(json.dumps(CONFIG))
    save_file(TENSORS, made / "model.safetensors")
    return made


def writing(name: str, content: str | bytes) -> Spoil:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data)


def configured(**values: object) -> Spoil:
    return writing("config.json", json.dumps({**CONFIG, **values}))


def backbone(**values: object) -> Spoil:
    return configured(backbone_config={"model_type": "swin", **values})


def having(*names: str) -> Spoil:
    """Return a function that leaves empty files called ``names`` alone in a folder."""

    def replace(folder: Path) -> None:
        for each in folder.iterdir():
            each.unlink()
        for name in names:
            (folder / name).touch()

    return replace


def configured_and(*names: str) -> Spoil:
    """Return a function that leaves files called ``names`` and a good configuration alone in a folder."""

    def replace(folder: Path) -> None:
        having(*names)(folder)
        configured()(folder)

    return replace


def indexed(*parts: str, whole: str = "model.safetensors") -> Spoil:
    def replace(folder: Path) -> None:
        configured_and()(folder)
        index = {"metadata": {"total_size": 1}, "weight_map": {f"tensor {k}": part for k, part in enumerate(parts)}}
        (folder / f"{whole}.index.json").write_text(json.dumps(index))

    return replace


def dangling(name: str) -> Spoil:
    def replace(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to("../../blobs/0123")

    return replace


def truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def in_a_damaged_part(folder: Path) -> None:
    indexed("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")(folder)
    save_file(TENSORS, folder / "model-00001-of-00002.safetensors")
    (folder / "model-00002-of-00002.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")


def cache(folder: Path) -> None:
    having()(folder)
    (folder / "snapshots" / "0123abc").mkdir(parents=True)


def claiming(count: int, shape: list[int]) -> bytes:
    header = {"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, count]}}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


FOREIGN_CONFIGS = {
    "eomt_dinov3": "EoMT with DINOv3, published as differences from weights that Meta gives out on request",
    "oneformer": "OneFormer",
    "maskformer": "MaskFormer",
    "detr": "DETR",
    "segformer": "SegFormer",
    "bert": "model_type 'bert'",
}

REFUSED: dict[str, tuple[Spoil, str]] = {
    # What is in the folder.
    "empty": (having(), "holds no checkpoint, expected config.json and weights"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "lacks config.json, which transformers writes"),
    "parts without config": (having("model-00001-of-00002.safetensors"), "lacks config.json"),
    "of pem-train": (having("model_final.pth", "last.pth", "log.jsonl"), "give one of its files (last.pth, model_f"),
    "no weights": (configured_and("merges.txt"), "has no weights, expected model.safetensors or pytorch_model.bin"),
    "a tokenizer": (having("tokenizer.json", "vocab.txt"), "holds no checkpoint"),
    "an adapter": (having("adapter_config.json", "adapter_model.safetensors"), "merge_and_unload"),
    "an adapter with config": (configured_and("adapter_config.json", "adapter_model.safetensors"), "merge_and_unload"),
    "TensorFlow": (configured_and("tf_model.h5"), "it has config.json, tf_model.h5: copy them there"),
    "ONNX": (configured_and("model.onnx"), "it has config.json, model.onnx"),
    "GGUF": (configured_and("model.gguf"), "it has config.json, model.gguf"),
    "two variants": (
        configured_and("model.bf16.safetensors", "model.fp16.safetensors"),
        "it has config.json, model.bf16.safetensors, model.fp16.safetensors",
    ),
    "many files": (configured_and(*(f"{k}.png" for k in range(9))), "5.png and 4 more: copy them there"),
    "the hub's cache": (cache, "is of the hub's cache, expected one model: give"),
    "dangling weights": (dangling("model.safetensors"), "model.safetensors is a link to a file that is not there"),
    "a dangling config": (dangling("config.json"), "config.json is a link to a file that is not there"),
    # Its configuration.
    "a damaged config": (writing("config.json", '{"model_type": '), "is damaged or not a model's configuration"),
    "an empty config": (writing("config.json", ""), "is damaged or not a model's configuration"),
    "a list": (writing("config.json", "[]"), "Expected `object`, got `array`"),
    "a nested config": (writing("config.json", "[" * 100_000), "config.json is"),
    "a pointer as config": (writing("config.json", POINTER), "git lfs pull"),
    "a huge config": (configured(note="x" * 10_000_000), "more than the 10000000 of a model's configuration"),
    "wrong types": (configured(num_queries="many"), "Expected `int | null`, got `str` - at `$.num_queries`"),
    "no object": (configured(backbone_config=3), "at `$.backbone_config`"),
    **{name: (configured(model_type=name), f"is of {model}, which is not") for name, model in FOREIGN_CONFIGS.items()},
    "other fields": (configured(model_type="segformer", num_attention_heads=[1, 2, 5, 8]), "is of SegFormer"),
    "another backbone": (backbone(model_type="focalnet"), "is of Mask2Former with a backbone of 'focalnet'"),
    "a relative of timm's": (
        backbone(model_type="timm_backbone", backbone="resnetblur50"),
        "with timm's 'resnetblur50'",
    ),
    "a relative of timm's, as transformers 4 wrote it": (
        configured(backbone_config=None, backbone="resnetblur50", use_timm_backbone=True),
        "with timm's 'resnetblur50'",
    ),
    "a dilated backbone": (
        backbone(model_type="timm_backbone", backbone="resnet50", output_stride=8),
        "output_stride of the backbone is 8, only 32 is supported",
    ),
    "a dilated backbone, as transformers 4 wrote it": (
        configured(
            backbone_config=None, backbone="resnet50", use_timm_backbone=True, backbone_kwargs={"output_stride": 8}
        ),
        "output_stride of the backbone is 8, only 32 is supported",
    ),
    "pre_norm": (configured(pre_norm=True), "pre_norm is True, only False is supported"),
    "heads": (configured(num_attention_heads=4), "num_attention_heads is 4, only 8 is supported"),
    "activation": (configured(activation_function="gelu"), "activation_function is 'gelu', only 'relu' is"),
    "stride": (configured(common_stride=8), "common_stride is 8, only 4 is supported"),
    "positions": (backbone(use_absolute_embeddings=True), "use_absolute_embeddings of the backbone is True"),
    "eps": (backbone(layer_norm_eps=1e-12), "layer_norm_eps of the backbone is 1e-12, only 1e-05 is supported"),
    "act": (backbone(hidden_act="relu"), "hidden_act of the backbone is 'relu', only 'gelu' is supported"),
    "basic": (backbone(model_type="resnet", layer_type="basic"), "layer_type of the backbone is 'basic'"),
    # Its classes.
    "a gap": (configured(id2label={"1": "a", "2": "b"}), "names 2 classes in id2label, but none has the number 0"),
    "no numbers": (configured(id2label={"a": "b"}), "none has the number 0, expected 0 to 0"),
    "null": (configured(id2label={"0": None}), "got `null` - at `$.id2label[...]`"),
    "many": (configured(id2label={str(k): "" for k in range(100_000)}), "names 100000 classes, expected at most 65536"),
    "a million": (configured(id2label={str(k): "" for k in range(10**6)}), "bytes, more than the 10000000"),
    "preprocessing": (writing("preprocessor_config.json", '{"image_std": 0}'), "deviations above 0"),
    # Its weights.
    "a pointer": (writing("model.safetensors", POINTER), "only stands for a file in Git LFS"),
    "empty weights": (writing("model.safetensors", b""), "is damaged or not a safetensors file"),
    "half a file": (truncated, "is damaged or not a safetensors file"),
    "a terabyte": (writing("model.safetensors", (10**12).to_bytes(8, "little") + b"{}"), "is damaged or not a saf"),
    "claims": (writing("model.safetensors", claiming(4 * 10**12, [10**12])), "is damaged or not a safetensors file"),
    "overflow": (writing("model.safetensors", claiming(0, [2**62, 2**62])), "is damaged or not a safetensors file"),
    "a page": (writing("model.safetensors", "<!doctype html>"), "is a web page"),
    # Its parts.
    "a part lacks": (indexed("model-00001-of-00001.safetensors"), "lacks model-00001-of-00001.safetensors, one of the"),
    "no parts": (indexed(), "names 0 files, expected 1 to 256"),
    "many parts": (indexed(*(f"{k}.safetensors" for k in range(300))), "names 300 files, expected 1 to 256"),
    "outside": (indexed("../model.safetensors"), "names '../model.safetensors', expected a .safetensors file beside"),
    "absolute": (indexed("/tmp/a.safetensors"), "names '/tmp/a.safetensors', expected"),
    "Windows'": (indexed("C:\\a.safetensors"), "names 'C:\\\\a.safetensors', expected"),
    "pickles": (indexed("a.bin"), "names 'a.bin', expected a .safetensors file beside it"),
    "a damaged index": (
        lambda folder: (configured_and()(folder), writing("model.safetensors.index.json", "{}")(folder)),
        "missing required field `weight_map`",
    ),
    "a pointer as index": (
        lambda folder: (configured_and()(folder), writing("model.safetensors.index.json", POINTER)(folder)),
        "git lfs pull",
    ),
    "a damaged part": (in_a_damaged_part, "model-00002-of-00002.safetensors is damaged or not a safetensors file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_folder_is_refused_in_one_line(case: str, folder: Path) -> None:
    spoil, reason = REFUSED[case]
    spoil(folder)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder, print)
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value).replace(str(folder), "")) < 420


@pytest.mark.parametrize("name", ["config.json", "model.safetensors.index.json", "Model-00001-of-00002.safetensors"])
def test_one_file_of_several_is_told_from_their_folder(name: str, folder: Path) -> None:
    (folder / name).touch()
    with pytest.raises(CheckpointError, match="is one of several files of a model, expected its folder: give "):
        open_checkpoint(folder / name, print)


def test_a_name_with_control_characters_is_shown_escaped(folder: Path) -> None:
    configured(model_type="\x1b[2J\n", id2label={"0": "\x1b[31m"})(folder)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder, print)
    assert str(caught.value).isprintable()


def test_a_configuration_that_other_tools_wrote_leaves_it_to_the_tensors(folder: Path) -> None:
    writing("config.json", json.dumps({"lr": 1e-4, "classes": 3}))(folder)
    with pytest.raises(CheckpointError, match=r"is not a checkpoint of PEM.*missing"):
        open_checkpoint(folder, print)


@pytest.mark.parametrize(
    ("values", "claim"),
    [
        ({"id2label": CLASSES}, "claims 3 classes, the tensors are of a model with 5"),
        ({"num_queries": 200}, "claims 200 queries, the tensors are of a model with 20"),
        ({"decoder_layers": 9}, "claims 9 decoder layers, the tensors are of a model with 10"),
        ({"encoder_layers": 3}, "claims 3 encoder layers, the tensors are of a model with 6"),
        ({"num_queries": -1}, "claims -1 queries"),
    ],
)
def test_a_configuration_must_fit_the_tensors(values: dict[str, object], claim: str, folder: Path) -> None:
    with torch.device("meta"):
        model = pem.build("mask2former-swin-t", num_classes=5, num_queries=20)
    configured(**{"id2label": None, **values})(folder)
    config, _ = transformers_config.read(folder, print, print)
    with pytest.raises(CheckpointError, match=claim):
        transformers_config.check(config, model, "roads")


def test_weights_that_claim_more_classes_than_memory_holds_are_refused() -> None:
    heads = {"decoder.class_head.bias": (2**40,), "decoder.query_features": (100, 256)}
    state = {name: torch.empty(shape, device="meta") for name, shape in heads.items()}
    with pytest.raises(CheckpointError, match="is not a checkpoint of PEM"):
        identify(state, "weights")


def test_numbers_as_names_of_classes_are_names(folder: Path) -> None:
    configured(id2label={"0": 0, "1": 255, "2": "road"})(folder)
    _, told = transformers_config.read(folder, print, print)
    assert told.labels is not None
    assert [label.name for label in told.labels] == ["0", "255", "road"]


@pytest.mark.parametrize("case", ["empty", "a pointer", "eomt_dinov3", "a part lacks", "a gap"])
def test_the_command_ends_with_one_line(case: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, reason = REFUSED[case]
    spoil(folder)
    assert export.main(["--weights", str(folder), "--to", "onnx", "-o", str(folder.parent / "out")]) == 1
    *_, last = capsys.readouterr().err.splitlines()
    assert reason in last
    assert not list((folder.parent / "out").glob("*"))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--revision", "main"], "--revision is for models on the Hugging Face hub"),
        (["--part", "model_ema"], "has no part 'model_ema', expected one of top (3 tensors)"),
    ],
)
def test_options_that_a_folder_does_not_have_are_named(
    options: list[str], reason: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export.main(["--weights", str(folder), *options, "-o", str(folder.parent / "out")]) == 1
    *_, last = capsys.readouterr().err.splitlines()
    assert reason in last
