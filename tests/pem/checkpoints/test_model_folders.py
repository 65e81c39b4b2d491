"""Folders that transformers wrote open with all that is known of them, however they are stored."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Mask2FormerForUniversalSegmentation

from pem_edge import pem
from pem_edge.pem.checkpoints import Checkpoint, Description, open_checkpoint, places
from pem_edge.pem.checkpoints.descriptions import describe
from pem_edge.pem.model import Normalization
from reference.huggingface import folders

CLASSES = ["road", "sky", "car", "person", "crack"]
QUERIES, LAYERS = 20, 2
REMARKS = [
    "1 of 5 classes are in no known set, such as 'crack': they are taken for things; --labels FILE says which are "
    "stuff",
    f"{LAYERS} decoder layers, where mask2former-swin-t has 9",
]
"""What is said of the folder, but for what its name says of the task and the license."""

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def theirs() -> Mask2FormerForUniversalSegmentation:
    return folders.build("swin-tiny", CLASSES, QUERIES, decoder_layers=LAYERS + 1)


@pytest.fixture(scope="module")
def folder(theirs: Mask2FormerForUniversalSegmentation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folders.write(
        theirs, tmp_path_factory.mktemp("written") / "roads-semantic", {"shortest_edge": 500, "longest_edge": 1333}
    )


@pytest.fixture(scope="module")
def opened(folder: Path) -> tuple[Checkpoint, list[str]]:
    said: list[str] = []
    with torch.inference_mode():
        return open_checkpoint(folder, said.append), said


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that makes a folder of a name with the same files, of which the weights are a hard link."""

    def make(name: str) -> Path:
        made = tmp_path / name
        made.mkdir(parents=True)
        for each in folder.iterdir():
            if each.suffix == ".json":
                (made / each.name).write_bytes(each.read_bytes())
            else:
                os.link(each, made / each.name)
        return made

    return make


def assert_same_weights(found: pem.MaskClassifier, expected: pem.MaskClassifier) -> None:
    assert found.variant == expected.variant
    ours, others = found.state_dict(), expected.state_dict()
    assert ours.keys() == others.keys()
    assert [name for name, tensor in ours.items() if not torch.equal(tensor, others[name])] == []


def test_a_folder_opens_with_all_that_its_files_say(opened: tuple[Checkpoint, list[str]], folder: Path) -> None:
    checkpoint, said = opened
    model, known = checkpoint.model, checkpoint.description
    assert said == REMARKS
    assert (model.variant, model.num_classes, model.num_queries) == ("mask2former-swin-t", len(CLASSES), QUERIES)
    assert len(model.decoder.layers) == LAYERS
    assert known.labels is not None
    assert [(label.name, label.isthing) for label in known.labels] == list(
        zip(CLASSES, (False, False, True, True, True), strict=True)
    )
    assert (known.task, known.size, known.license) == ("semantic", (512, 1024), None)
    assert checkpoint.weights().file == "model.safetensors"
    assert checkpoint.place.files == (folder / "model.safetensors",)
    assert torch.equal(model.normalize.mean, Normalization().mean)
    assert torch.equal(model.normalize.std, Normalization().std)


def in_parts(state: State, folder: Path, write: Callable[[State, Path], Any], whole: str) -> None:
    """Replace the weights in ``folder`` by two parts and their index, as older transformers wrote them."""
    (folder / "model.safetensors").unlink()
    stem, suffix = whole.split(".")
    names = list(state)
    parts = {f"{stem}-0000{k + 1}-of-00002.{suffix}": names[k::2] for k in range(2)}
    for part, held in parts.items():
        write({name: state[name] for name in held}, folder / part)
    weight_map = {name: part for part, held in parts.items() for name in held}
    (folder / f"{whole}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def test_weights_in_parts_are_those_of_one_file(
    opened: tuple[Checkpoint, list[str]],
    theirs: Mask2FormerForUniversalSegmentation,
    folder: Path,
    tmp_path: Path,
    copy: Callable[[str], Path],
) -> None:
    written = folders.write(theirs, tmp_path / "parts", {"height": 1024, "width": 512}, max_shard_size="60MB")
    assert len(list(written.glob("*.safetensors"))) > 1
    checkpoint = open_checkpoint(written, print)
    assert_same_weights(checkpoint.model, opened[0].model)
    assert checkpoint.description.size == (1024, 512)
    assert len(checkpoint.weights().parts) == len(list(written.glob("*.safetensors"))) - 1
    pickled = copy("pickled")
    in_parts(load_file(folder / "model.safetensors"), pickled, torch.save, "pytorch_model.bin")
    assert_same_weights(open_checkpoint(pickled, print).model, opened[0].model)


def test_safetensors_come_before_other_weights(copy: Callable[[str], Path]) -> None:
    both = copy("both")
    (both / "pytorch_model.bin").write_bytes(b"damaged")
    assert places.locate(both, print).files == (both / "model.safetensors",)


def test_half_precision_is_widened(folder: Path, copy: Callable[[str], Path]) -> None:
    half = copy("half")
    (half / "model.safetensors").unlink()
    state = load_file(folder / "model.safetensors")
    state = {
        name: tensor.bfloat16() if index % 2 else tensor.half() for index, (name, tensor) in enumerate(state.items())
    }
    save_file(state, half / "model.safetensors")
    model = open_checkpoint(half, print).model
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}
    projection = state["model.pixel_level_module.encoder.embeddings.patch_embeddings.projection.weight"]
    assert torch.equal(model.state_dict()["backbone.patches.weight"], projection.float())


def test_what_lightning_saved_of_the_module_in_memory_has_the_same_weights(
    theirs: Mask2FormerForUniversalSegmentation, opened: tuple[Checkpoint, list[str]], tmp_path: Path
) -> None:
    state = {f"net.{name}": tensor for name, tensor in theirs.state_dict().items()}
    path = tmp_path / "epoch=3 step=100.CKPT"
    torch.save({"state_dict": state, "epoch": 3, "hyper_parameters": {"lr": 1e-4}}, path)
    said: list[str] = []
    checkpoint = open_checkpoint(path, said.append)
    assert_same_weights(checkpoint.model, opened[0].model)
    assert "took the prefix 'net.' off the names of tensors" in said
    assert checkpoint.description.labels is None


TIMM = (
    (r"embedder\.embedder\.convolution", "conv1"),
    (r"embedder\.embedder\.normalization", "bn1"),
    *((rf"encoder\.stages\.{i}\.layers", f"layer{i + 1}") for i in range(4)),
    *((rf"\.layer\.{k}\.convolution", f".conv{k + 1}") for k in range(3)),
    *((rf"\.layer\.{k}\.normalization", f".bn{k + 1}") for k in range(3)),
    (r"shortcut\.convolution", "downsample.0"),
    (r"shortcut\.normalization", "downsample.1"),
)
"""Names in a ResNet of transformers, and in timm's."""


@pytest.mark.parametrize(
    "timm",
    [
        {"backbone_config": {"model_type": "timm_backbone", "backbone": "resnet50", "use_timm_backbone": True}},
        {"backbone_config": None, "backbone": "resnet50", "use_timm_backbone": True, "backbone_kwargs": None},
    ],
    ids=["transformers 5", "transformers 4"],
)
def test_a_backbone_of_timm_has_the_weights_of_transformers_own(timm: dict[str, object], tmp_path: Path) -> None:
    model = folders.build("resnet50", CLASSES, QUERIES, decoder_layers=LAYERS + 1)
    written = folders.write(model, tmp_path / "own", {"height": 512, "width": 512})
    expected = pem.load(written, print)
    root, state = "model.pixel_level_module.encoder.", load_file(written / "model.safetensors")
    for name in [name for name in state if name.startswith(root)]:
        renamed = name
        for pattern, replacement in TIMM:
            renamed = re.sub(pattern, replacement, renamed)
        state[renamed.replace(root, f"{root}_backbone.")] = state.pop(name)
    save_file(state, written / "model.safetensors")
    folders.change_json(written / "config.json", **timm)
    assert_same_weights(pem.load(written, print), expected)


def test_a_variant_of_the_weights_has_the_configuration_beside_it(
    opened: tuple[Checkpoint, list[str]], copy: Callable[[str], Path]
) -> None:
    """As ``save_pretrained(variant="fp16")`` names it."""
    variant = copy("mine-semantic")
    weights = (variant / "model.safetensors").rename(variant / "model.fp16.safetensors")
    for source in (variant, weights):
        checkpoint = open_checkpoint(source, print)
        assert_same_weights(checkpoint.model, opened[0].model)
        assert checkpoint.description.labels == opened[0].description.labels


def test_only_what_the_caller_needs_is_asked_for(copy: Callable[[str], Path]) -> None:
    unnamed = copy("mine")
    questions = ("nothing says what", "1 of 5 classes are in no known set")
    asked: dict[str, list[str]] = {}
    for kind, asks in {"both": ("task", "labels"), "task": ("task",), "labels": ("labels",), "none": ()}.items():
        said: list[str] = []
        open_checkpoint(unnamed, said.append, asks=asks)  # type: ignore[arg-type]  # mypy widens the tuples
        asked[kind] = [question for question in questions if any(line.startswith(question) for line in said)]
    assert asked == {"both": [*questions], "task": [questions[0]], "labels": [questions[1]], "none": []}


def test_an_adapter_beside_whole_weights_is_said_to_be_left_out(copy: Callable[[str], Path]) -> None:
    adapted = copy("mine-semantic")
    (adapted / "adapter_config.json").write_text("{}")
    said: list[str] = []
    open_checkpoint(adapted, said.append)
    assert [line for line in said if line.startswith("left out the adapter")]


def test_a_folder_of_the_hubs_cache_has_the_models_name(
    opened: tuple[Checkpoint, list[str]], copy: Callable[[str], Path], tmp_path: Path
) -> None:
    blobs = copy("my cäche 模型/blobs")
    cached = blobs.parent / "models--facebook--mask2former-swin-tiny-cityscapes-instance" / "snapshots" / ("0" * 40)
    cached.mkdir(parents=True)
    for blob in blobs.iterdir():
        (cached / blob.name).symlink_to(os.path.relpath(blob, cached))
    link = tmp_path / "model"
    link.symlink_to(cached)
    cached.chmod(0o555)
    said: list[str] = []
    checkpoint = open_checkpoint(link, said.append)
    assert_same_weights(checkpoint.model, opened[0].model)
    assert checkpoint.description.labels == opened[0].description.labels
    assert (checkpoint.description.task, checkpoint.description.license) == ("instance", "CC-BY-NC-4.0")
    assert [line for line in said if "not for commercial use" in line or "commercial" in line]


@pytest.mark.parametrize(
    ("name", "task", "spdx"),
    [
        ("mask2former-swin-tiny-coco-panoptic", "panoptic", "CC-BY-NC-4.0"),
        ("mask2former-swin-base-ade-semantic", "semantic", "CC-BY-NC-4.0"),
        ("mask2former-finetuned-cracks-semantic", "semantic", None),
        ("of-people/Instance_v2", "instance", None),
        ("semantic/roads", None, None),
        ("panoptic-and-semantic", None, None),
        ("semantics", None, None),
    ],
)
def test_the_name_of_a_folder_says_the_task(
    copy: Callable[[str], Path], name: str, task: str | None, spdx: str | None
) -> None:
    told = copy(name)
    for source in (told, told / "model.safetensors"):
        said: list[str] = []
        place = places.locate(source, print)
        known = describe(place, Description(), {}, "mask2former-swin-t", len(CLASSES), said.append, said.append)
        assert (known.task, known.license) == (task, spdx)
        remark = f"nothing says what {source} was trained for: taken as panoptic; set --task if it is another"
        assert (remark in said) is (task is None)


def test_weights_alone_open_without_names(
    opened: tuple[Checkpoint, list[str]], copy: Callable[[str], Path], tmp_path: Path
) -> None:
    alone = tmp_path / "Model.SafeTensors"
    os.link(copy("whole") / "model.safetensors", alone)
    said: list[str] = []
    checkpoint = open_checkpoint(alone, said.append)
    assert_same_weights(checkpoint.model, opened[0].model)
    assert checkpoint.description == Description()
    assert said == [
        *REMARKS[1:],
        f"nothing says what {alone} was trained for: taken as panoptic; set --task if it is another",
    ]


def test_a_model_of_two_classes_under_a_public_name_does_not_get_133() -> None:
    said: list[str] = []
    place = places.Place("out/mask2former-swin-tiny-coco-panoptic", (), Path("out/mask2former-swin-tiny-coco-panoptic"))
    assert describe(place, Description(), {}, "mask2former-r50", 2, said.append, print).labels is None
    assert said[0] == "left out the names of 133 classes, as the tensors have 2: give --labels"


def test_normalization_survives_saving(copy: Callable[[str], Path], tmp_path: Path) -> None:
    other = copy("other")
    folders.change_json(other / "preprocessor_config.json", image_mean=[0.5, 0.4, 0.3], image_std=[0.1, 0.2, 0.3])
    checkpoint = open_checkpoint(other / "model.safetensors", print)
    assert checkpoint.model.normalize.mean.flatten().tolist() == pytest.approx([127.5, 102.0, 76.5])
    pem.save(checkpoint.model, tmp_path / "saved.safetensors", labels=checkpoint.description.labels or ())
    again = open_checkpoint(tmp_path / "saved.safetensors", print)
    assert torch.equal(again.model.normalize.mean, checkpoint.model.normalize.mean)
    assert torch.equal(again.model.normalize.std, checkpoint.model.normalize.std)
    assert again.description.labels == checkpoint.description.labels
