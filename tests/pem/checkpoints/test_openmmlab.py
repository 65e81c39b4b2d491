"""Mask2Former checkpoints of mmdetection and mmsegmentation compute here what they compute there."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.pem import MaskClassifier
from pem_edge.pem.backbones.swin import PatchMerging
from pem_edge.pem.checkpoints import open_checkpoint
from pem_edge.pem.checkpoints.identify import identify
from pem_edge.pem.checkpoints.names import openmmlab
from pem_edge.runtime.errors import CheckpointError
from reference import published_models
from tests.helpers.exhaustive import mostly

SIZE = "64x96"
VARIANTS = {
    "openmmlab/mmdet_r50": "mask2former-r50",
    "openmmlab/mmdet_swint": "mask2former-swin-t",
    "openmmlab/mmdet_swinb": "mask2former-swin-b",
    "openmmlab/mmdet2_swint": "mask2former-swin-t",
    "openmmlab/mmseg_swint": "mask2former-swin-t",
}
"""Models of mmdetection 3, mmdetection 2 and mmsegmentation, whose own code computed the golden outputs."""


def loaded(state: dict[str, Tensor]) -> MaskClassifier:
    renamed = openmmlab.rename(state, "it")
    model = identify(renamed, "it")
    model.load_state_dict(renamed)
    return model.eval()


@pytest.mark.parametrize(
    "name", mostly(VARIANTS, ("openmmlab/mmdet_r50", "openmmlab/mmdet2_swint", "openmmlab/mmseg_swint"))
)
def test_module_matches_what_their_code_computes(name: str) -> None:
    state = published_models.state_dict(name)
    assert openmmlab.recognizes(state)
    model = loaded(state).double()
    assert (model.variant, model.num_classes, model.num_queries) == (VARIANTS[name], 7, 20)
    with torch.no_grad():
        logits, masks = model(published_models.image(SIZE))
    golden = published_models.golden(name)
    np.testing.assert_allclose(logits[0].numpy(), golden[f"{SIZE}/pred_logits"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(masks[0].numpy(), golden[f"{SIZE}/pred_masks"], rtol=0, atol=2e-5)


def test_what_mmengine_saves_after_training_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = ModuleType("mmengine.logging.history_buffer")

    class HistoryBuffer:
        """What mmengine saves beside the weights: numbers in an array, and functions of its own."""

        __module__, __qualname__ = package.__name__, "HistoryBuffer"

        def __init__(self) -> None:
            self.history, self.statistics = np.arange(3.0), {"mean": HistoryBuffer.mean}

        def mean(self) -> float:
            return float(self.history.mean())

    HistoryBuffer.mean.__module__, HistoryBuffer.mean.__qualname__ = package.__name__, "HistoryBuffer.mean"
    package.HistoryBuffer = HistoryBuffer  # type: ignore[attr-defined]
    for name in ("mmengine", "mmengine.logging", package.__name__):
        monkeypatch.setitem(sys.modules, name, package)
    dataset = {"classes": tuple("abcdefg"), "thing_classes": list("abcd"), "stuff_classes": list("efg")}
    document = {
        "meta": {"dataset_meta": dataset, "epoch": 12},
        "state_dict": published_models.state_dict("openmmlab/mmdet_r50"),
        "message_hub": {"log_scalars": {"train/loss": HistoryBuffer()}},
    }
    torch.save(document, tmp_path / "epoch_12.pth")
    opened = open_checkpoint(tmp_path / "epoch_12.pth")
    assert (opened.model.variant, opened.description.task) == ("mask2former-r50", "panoptic")
    assert opened.description.labels is not None
    assert [(label.name, label.isthing) for label in opened.description.labels] == [
        *((name, True) for name in "abcd"),
        *((name, False) for name in "efg"),
    ]


def test_patch_merging_of_unfolded_pixels_is_ours_after_renaming() -> None:
    generator = torch.Generator().manual_seed(0)
    channels, prefix = 6, "backbone.stages.1.downsample."
    theirs = {
        f"{prefix}norm.weight": torch.randn(4 * channels, generator=generator),
        f"{prefix}norm.bias": torch.randn(4 * channels, generator=generator),
        f"{prefix}reduction.weight": torch.randn(2 * channels, 4 * channels, generator=generator),
    }
    pixels = torch.randn(2, 4, 6, channels, generator=generator)
    unfolded = nn.Unfold(2, stride=2)(pixels.permute(0, 3, 1, 2)).transpose(1, 2)
    norm = F.layer_norm(unfolded, [4 * channels], theirs[f"{prefix}norm.weight"], theirs[f"{prefix}norm.bias"])
    expected = (norm @ theirs[f"{prefix}reduction.weight"].T).reshape(2, 2, 3, 2 * channels)

    ours = PatchMerging(channels)
    renamed = openmmlab.rename(theirs, "it")
    ours.load_state_dict({key.removeprefix("backbone.merges.1."): tensor for key, tensor in renamed.items()})
    torch.testing.assert_close(ours(pixels), expected)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("backbone.layer3.22.conv2.weight", "backbone.res4.22.conv2.conv.weight"),
        ("backbone.layer4.0.downsample.1.running_var", "backbone.res5.0.shortcut.bn.running_var"),
        ("backbone.stages.2.blocks.17.attn.w_msa.qkv.bias", "backbone.stages.2.17.attention.qkv.bias"),
        ("backbone.stages.2.blocks.17.ffn.layers.1.bias", "backbone.stages.2.17.contract.bias"),
    ],
)
def test_names_of_deeper_backbones(theirs: str, ours: str) -> None:
    assert list(openmmlab.rename({theirs: torch.zeros(1)}, "it")) == [ours]


def test_what_only_training_uses_is_left_out() -> None:
    names = [
        "data_preprocessor.mean",
        "panoptic_fusion_head.weight",
        "auxiliary_head.0.conv_seg.weight",
        "panoptic_head.loss_cls.class_weight",
        "backbone.stages.0.blocks.0.attn.w_msa.relative_position_index",
    ]
    assert openmmlab.rename({name: torch.zeros(1) for name in names}, "it") == {}


def test_two_heads_that_differ_are_an_error() -> None:
    state = {f"{head}.cls_embed.bias": torch.full((3,), i) for i, head in enumerate(("panoptic_head", "decode_head"))}
    with pytest.raises(CheckpointError, match=r"decode_head\.cls_embed\.bias is a second name"):
        openmmlab.rename(state, "it")


@pytest.mark.parametrize("shape", [(), (1,), (0, 5), (3, 4, 0)])
def test_merged_pixels_of_strange_shapes_are_left_to_be_found_misshapen(shape: tuple[int, ...]) -> None:
    renamed = openmmlab.rename({"backbone.stages.0.downsample.reduction.weight": torch.zeros(shape)}, "it")
    assert renamed["backbone.merges.0.reduction.weight"].shape == shape


def test_models_of_detectron2_and_maskformer_are_not_taken_for_theirs() -> None:
    assert not openmmlab.recognizes(published_models.state_dict("mask2former_r50_coco"))
    assert not openmmlab.recognizes({"panoptic_head.query_embed.weight", "panoptic_head.cls_embed.weight"})
