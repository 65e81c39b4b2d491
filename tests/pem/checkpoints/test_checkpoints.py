"""Checkpoints of every supported kind load to the same model; anything else is refused with one line."""

from __future__ import annotations

import json
import pickle
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pem_edge import pem
from pem_edge.pem.backbones.swin import WindowAttention
from pem_edge.pem.checkpoints.identify import identify
from pem_edge.pem.checkpoints.names.detectron2 import _DROPPED, our_name
from pem_edge.pem.pixel_decoders.encoder import Depths
from pem_edge.runtime.errors import CheckpointError, OutputError
from reference import published_models
from tests.pem.conftest import Checkpoint

STDC1 = "pem_stdc1_cityscapes"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return published_models.state_dict(STDC1)


def assert_same(ours: pem.MaskClassifier, expected: pem.MaskClassifier) -> None:
    assert ours.variant == expected.variant
    assert not ours.training
    for name, tensor in expected.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor, rtol=0, atol=0, msg=name)


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        pem.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


@pytest.mark.parametrize("name", published_models.MODELS)
def test_every_published_tensor_has_its_place(name: str) -> None:
    needed = set(pem.VARIANTS[published_models.MODELS[name]].build(19).state_dict())
    places = {our_name(key) for key in published_models.state_dict(name) if not _DROPPED.match(key)}
    frozen = {key for key in needed if key.endswith("num_batches_tracked")}
    assert needed - places <= frozen
    assert places <= needed


def test_classes_and_queries_are_read_from_the_tensors(checkpoint: Checkpoint) -> None:
    model = pem.load(checkpoint("pem_r50_ade20k"))
    assert (model.variant, model.num_classes, model.num_queries) == ("pem-r50", 150, 100)


def test_what_training_leaves_in_a_checkpoint_is_ignored(
    state: dict[str, Tensor], checkpoint: Checkpoint, tmp_path: Path
) -> None:
    path = tmp_path / "model_0089999.pth"
    optimizer = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    training = {"optimizer": optimizer, "scheduler": {"last_epoch": 7}, "iteration": 89999}
    torch.save({"model": state | {"pixel_mean": torch.zeros(3, 1, 1)}, **training}, path)
    assert_same(pem.load(path), pem.load(checkpoint(STDC1)))


@pytest.mark.parametrize("kept", ["backbone.features.", "backbone.x"])
def test_either_name_of_the_stdc_tensors_suffices(
    kept: str, state: dict[str, Tensor], checkpoint: Checkpoint, tmp_path: Path
) -> None:
    path = tmp_path / "one_name.pth"
    torch.save({k: v for k, v in state.items() if k.startswith(kept) or not k.startswith("backbone.")}, path)
    assert_same(pem.load(path), pem.load(checkpoint(STDC1)))


def test_two_names_of_a_tensor_that_disagree_are_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "torn.pth"
    key = "backbone.x4.0.1.conv.weight"
    torch.save(state | {key: state[key] + 1}, path)
    assert key in refusal(path)


def test_batchnorm_counters_may_be_absent(state: dict[str, Tensor], checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "frozen.pth"
    torch.save({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}, path)
    assert_same(pem.load(path), pem.load(checkpoint(STDC1)))


@pytest.mark.parametrize("protocol", [2, 4])
def test_detectron2_pickles_of_arrays_load(
    protocol: int, state: dict[str, Tensor], checkpoint: Checkpoint, tmp_path: Path
) -> None:
    path = tmp_path / "model.pkl"
    arrays = OrderedDict((key, tensor.numpy()) for key, tensor in state.items())
    document = {"model": arrays, "__author__": "somebody", "matching_heuristics": True}
    path.write_bytes(pickle.dumps(document, protocol=protocol))
    assert_same(pem.load(path), pem.load(checkpoint(STDC1)))


def test_our_own_format_keeps_every_bit(checkpoint: Checkpoint, tmp_path: Path) -> None:
    model = pem.load(checkpoint(STDC1))
    pem.save(model, tmp_path / "model.safetensors")
    assert_same(pem.load(tmp_path / "model.safetensors"), model)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("training", {"std": [0, 0, 0]}, "and deviations above 0: save it again"),
        ("training", {"std": [1, 1, -1]}, "and deviations above 0: save it again"),
        ("training", {"mean": [1e9, 0, 0]}, "expected a mean within them"),
        ("training", {"mean": [1, 2]}, "Expected `array` of length 3"),
        ("categories", [{"name": "road"}], "a list of COCO categories"),
        ("categories", 5, "a list of COCO categories"),
    ],
)
def test_what_a_safetensors_file_says_of_its_weights_is_not_believed_blindly(
    key: str, value: object, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    save_file(dict(pem.build("pem-nano", num_classes=1).state_dict()), path, {key: json.dumps(value)})
    assert expected in refusal(path)


@pytest.mark.parametrize("name", pem.VARIANTS)
def test_every_variant_is_told_by_its_tensors(name: str) -> None:
    with torch.device("meta"):
        state = pem.build(name, num_classes=5, num_queries=7).state_dict()
        model = identify(state, name)
    assert (model.variant, model.num_classes, model.num_queries) == (name, 5, 7)


def test_windows_too_large_for_memory_are_refused() -> None:
    with torch.device("meta"):
        state = pem.build("mask2former-swin-t", num_classes=5, window=100).state_dict()
    with pytest.raises(CheckpointError, match=r"it does not fit mask2former-swin-t: 12 misshapen"):
        identify(dict(state), "it")


@pytest.mark.parametrize(("name", "window"), [("mask2former-swin-b", 7), ("proscale-swin-t", 12)])
def test_windows_are_told_by_the_tensors(name: str, window: int) -> None:
    with torch.device("meta"):
        state = pem.build(name, num_classes=5, window=window).state_dict()
        model = identify(state, name)
    assert model.variant == name
    for found in (module for module in model.modules() if isinstance(module, WindowAttention)):
        assert found.window == window


def test_decoder_layers_are_read_from_the_tensors_and_said(tmp_path: Path) -> None:
    path, said = tmp_path / "shallow.safetensors", list[str]()
    pem.save(replace(pem.VARIANTS["pem-nano"], layers=2).build(5), path)
    model = pem.load(path, said.append)
    assert (model.variant, len(model.decoder.layers)) == ("pem-nano", 2)
    assert said == ["2 decoder layers, where pem-nano has 3"]


def test_nano_has_under_4_million_parameters() -> None:
    assert sum(p.numel() for p in pem.build("pem-nano", num_classes=19).parameters()) < 4_000_000


def test_missing_unexpected_and_misshapen_tensors_are_reported(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "odd.pth"
    odd = {k: v for k, v in state.items() if not k.endswith("predictor.decoder_norm.bias")}
    odd["sem_seg_head.predictor.adapter.weight"] = torch.zeros(3)
    odd["sem_seg_head.predictor.level_embed.weight"] = torch.zeros(4, 256)
    torch.save(odd, path)
    message = refusal(path)
    assert "does not fit pem-stdc1" in message
    assert "1 missing (decoder.norm.bias)" in message
    assert "1 unexpected (decoder.adapter.weight)" in message
    assert "1 misshapen (decoder.level_embeddings (4, 256), expected (3, 256))" in message


class Malicious:
    """Unpickled without care, it creates a file."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (exec, (f"open({str(self.victim)!r}, 'w')",))


@pytest.mark.parametrize("suffix", [".pth", ".pkl"])
def test_malicious_pickles_are_refused_without_running(suffix: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / f"gift{suffix}"
    document = {"model": {key: tensor.numpy() for key, tensor in state.items()}, "extra": Malicious(victim)}
    if suffix == ".pkl":
        path.write_bytes(pickle.dumps(document))
    else:
        torch.save(document, path)
    assert "not loaded" in refusal(path)
    assert not victim.exists()


@pytest.mark.parametrize("name", ["os.system", "builtins.getattr", "numpy.load", "torch.load", "numpy.f2py.os.system"])
def test_pickles_reach_nothing_but_arrays(name: str, tmp_path: Path) -> None:
    module, _, function = name.rpartition(".")
    path = tmp_path / "reach.pkl"
    path.write_bytes(b"\x80\x02c" + f"{module}\n{function}\n".encode() + b".")
    assert f"asks to run {name}" in refusal(path)


@pytest.mark.parametrize("suffix", [".pth", ".pkl", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated_checkpoints_are_refused(suffix: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / f"cut{suffix}"
    model = pem.build("pem-nano", num_classes=3)
    if suffix == ".safetensors":
        pem.save(model, path)
    elif suffix == ".pth":
        torch.save({"model": model.state_dict()}, path)
    else:
        path.write_bytes(pickle.dumps({"model": {k: v.numpy() for k, v in model.state_dict().items()}}))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    refusal(path)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("model.zip", b"PK", "expected a checkpoint"),
        ("notes.pth", b"dear diary", "is damaged or not a checkpoint"),
        ("notes.pkl", b"dear diary", "is damaged or not a checkpoint"),
        ("list.pkl", pickle.dumps([1, 2]), "expected a dictionary of tensors"),
        ("empty.pkl", pickle.dumps({"model": {}}), "no tensors"),
        (
            "resnet.pkl",
            pickle.dumps({"fc.weight": np.zeros((2, 2))}),
            "is not a checkpoint of PEM, Mask2Former, PRO-SCALE or EoMT",
        ),
    ],
)
def test_foreign_files_are_refused(name: str, content: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert expected in refusal(path)


@pytest.mark.parametrize("depths", [(1, 1, 1), (0, 2, 3), (3, 3, 3)])
def test_encoder_layers_are_read_from_the_tensors(depths: Depths, tmp_path: Path) -> None:
    path = tmp_path / "progressive.safetensors"
    pem.save(pem.build("proscale-r50", num_classes=5, encoder_layers=depths), path)
    model = pem.load(path)
    assert isinstance(model, pem.PEM)
    assert model.variant == "proscale-r50"
    assert model.pixel_decoder.get_submodule("encoder").depths == depths


@pytest.mark.parametrize(("variant", "depths"), [("pem-nano", (1, 1, 1)), ("proscale-r50", (1, -1, 1))])
def test_encoder_layers_that_a_variant_cannot_have_are_an_error(variant: str, depths: Depths) -> None:
    with pytest.raises(ValueError, match="expected"):
        pem.build(variant, num_classes=2, encoder_layers=depths)


@pytest.mark.parametrize("kind", [torch.int8, torch.int64, torch.bool])
def test_weights_that_were_quantized_are_refused(kind: torch.dtype, state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({name: tensor.to(kind) if tensor.ndim > 1 else tensor for name, tensor in state.items()}, path)
    with pytest.raises(CheckpointError, match=r"holds numbers of type \w+, expected floating-point ones"):
        pem.load(path)


def test_another_model_of_the_family_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "maskformer.pth"
    theirs = {
        "sem_seg_head.predictor.class_embed.bias": torch.zeros(81),
        "sem_seg_head.predictor.query_embed.weight": torch.zeros(100, 256),
        "sem_seg_head.predictor.query_feat.weight": torch.zeros(100, 256),
        "sem_seg_head.predictor.transformer.decoder.norm.weight": torch.zeros(256),
    }
    torch.save({"model": theirs}, path)
    assert f"{path} is a checkpoint of MaskFormer, which is not supported" in refusal(path)


def test_a_deeper_mask2former_is_named_as_such(tmp_path: Path) -> None:
    theirs = published_models.state_dict("mask2former_r50_coco")
    theirs["backbone.res4.6.conv1.weight"] = torch.zeros(256, 1024, 1, 1)  # as ResNet-101 has
    torch.save({"model": theirs}, tmp_path / "r101.pth")
    assert "does not fit mask2former-r50: 1 unexpected (backbone.res4.6.conv1" in refusal(tmp_path / "r101.pth")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no checkpoint at" in refusal(tmp_path / "nowhere.pth")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dmeo", "no checkpoint at dmeo: did you mean demo?"),
        ("eomt-m", " hub: if eomt-s is meant, give tue-mps/coco_panoptic_eomt_small_"),
        ("out/eomt-s.pth", " hub: if eomt-s is meant, give tue-mps/coco_panoptic_eomt_small_"),
        ("pem-r5", "if pem-r50 is meant, no weights of it are public; pem-train --variant pem-r50 trains it"),
        ("mask2former-r5", "if mask2former-r50 is meant, download one of model_final_94dc52.pkl, "),
        ("eomt-s", "eomt-s is a variant, expected a checkpoint of one: give tue-mps/coco_panoptic_eomt_small_"),
        ("mask2former-r50", "is a variant, expected a checkpoint of one: download one of model_final_94dc52.pkl, "),
        ("pem-r50", "no weights of it are public; pem-train --variant pem-r50 trains it"),
        ("pem-nano", "is a variant, expected a checkpoint of one: give demo, the one that comes with the package"),
        ("mask2former-swin-large-ade-panoptic", "did you mean facebook/mask2former-swin-large-ade-panoptic?"),
        ("coco_panoptic_eomt_smal_640_2x", "did you mean tue-mps/coco_panoptic_eomt_small_640_2x?"),
    ],
)
def test_a_name_that_is_no_checkpoint_is_told_what_may_be_meant(name: str, message: str) -> None:
    assert message in refusal(Path(name))


def test_an_address_is_not_taken_for_a_path() -> None:
    with pytest.raises(
        CheckpointError, match=r"^https://host/x\.pth is an address, expected .*: download it, and give"
    ):
        pem.load("https://user:secret@host/x.pth")


def test_saving_where_nothing_can_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        pem.save(pem.build("pem-nano", num_classes=2), tmp_path / "file" / "model.safetensors")


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="only Unix limits the size of files")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(OutputError, match="cannot write"):
            pem.save(pem.build("pem-nano", num_classes=2), tmp_path / "model.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [("pem-r18", 19), ("pem-nano", 0)])
def test_building_what_does_not_exist_is_an_error(arguments: tuple[str, int]) -> None:
    with pytest.raises(ValueError, match=r"expected|there is no"):
        pem.build(*arguments)


@pytest.mark.parametrize("shape", [(1, 100, 128, 3), (1, 128, 100, 3), (1, 3, 128, 128), (128, 128, 3)])
def test_images_of_a_wrong_shape_are_refused(shape: tuple[int, ...]) -> None:
    model = pem.build("pem-nano", num_classes=2).eval()
    with pytest.raises(ValueError, match=r"expected \(N, H, W, 3\)"):
        model(torch.zeros(shape, dtype=torch.uint8))


@pytest.mark.parametrize("name", ["model.pth", "model.pkl", "model.safetensors", "model.ckpt"])
def test_a_checkpoint_that_git_lfs_has_not_fetched_is_said(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n")
    with pytest.raises(CheckpointError, match=r"model\.\w+ only stands for a file in Git LFS, .*: git lfs pull$"):
        pem.load(path)


@pytest.mark.parametrize("path", [5, None, b"model.pth", ""])
def test_a_checkpoint_is_named_by_its_path(path: object) -> None:
    with pytest.raises(
        CheckpointError, match=f"the checkpoint is {path!r}, expected a path: give it as a str or a Path"
    ):
        pem.load(path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "known"),
    [((128, 160), (128, 160)), (None, None), ((100, 160), None), ((-32, 32), None), ((1 << 20, 1 << 20), None)],
)
def test_the_size_of_training_is_stored_and_one_that_no_image_has_is_not_believed(
    size: tuple[int, int] | None, known: tuple[int, int] | None, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    pem.save(pem.load("demo"), path, size=size)
    assert pem.checkpoints.open_checkpoint(path, asks=()).description.size == known


def test_the_demo_is_for_the_size_that_it_was_trained_on() -> None:
    assert pem.checkpoints.open_checkpoint("demo", asks=()).description.size == (256, 512)
