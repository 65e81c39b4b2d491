"""Backbones are filled from ImageNet classifiers, whatever their authors call the tensors."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    PreTrainedModel,
    ResNetConfig,
    ResNetForImageClassification,
    SwinBackbone,
    SwinConfig,
    SwinForImageClassification,
)

from pem_edge import pem
from pem_edge.pem.backbones import Backbone, SwinTransformer
from pem_edge.pem.model import MaskClassifier
from pem_edge.pem.training.backbone_weights import load_backbone
from pem_edge.runtime.errors import CheckpointError
from reference.weights import randomized
from tests.helpers.tiny import TINY_MASK2FORMER

ALL_STAGES: dict[str, Any] = {"out_features": [f"stage{stage}" for stage in range(1, 5)]}  # Any: as below
TINY_SWIN: dict[str, Any] = {
    "embed_dim": 16,
    "depths": [2, 2, 2, 2],
    "num_heads": [1, 2, 2, 4],
    "window_size": 7,
}  # Any: a configuration's arguments

Rename = Callable[[str], str]


def write(source: MaskClassifier, rename: Rename, path: Path, **others: Tensor) -> dict[str, Tensor]:
    """Write the backbone of ``source`` as a classifier's, and return what must arrive, under our names."""
    expected = {name: x for name, x in source.backbone.state_dict().items() if not name.startswith("norms.")}
    torch.save({"model": {**{rename(name): x for name, x in expected.items()}, **others}}, path)
    return expected


def require_filled(model: MaskClassifier, path: Path, expected: dict[str, Tensor]) -> None:
    load_backbone(model, path, print)
    filled = model.backbone.state_dict()
    assert all(torch.equal(tensor, filled[name]) for name, tensor in expected.items())


def torchvision_resnet(name: str) -> str:
    name = name.replace("stem.conv.", "conv1.").replace("stem.bn.", "bn1.")
    for stage in range(2, 6):
        name = name.replace(f"res{stage}.", f"layer{stage - 1}.")
    name = name.replace("shortcut.conv.", "downsample.0.").replace("shortcut.bn.", "downsample.1.")
    for conv in "123":
        name = name.replace(f".conv{conv}.conv.", f".conv{conv}.").replace(f".conv{conv}.bn.", f".bn{conv}.")
    return name


def published_stdc(name: str) -> str:
    name = name.replace(".convs.", ".conv_list.")
    return name.replace(".downsample.conv.", ".avd_layer.0.").replace(".downsample.bn.", ".avd_layer.1.")


def published_swin(name: str) -> str:
    name = re.sub(r"^stages\.(\d)\.(\d+)\.", r"layers.\1.blocks.\2.", name)
    name = re.sub(r"^merges\.(\d)\.", r"layers.\1.downsample.", name)
    for ours, theirs in (
        ("patches.", "patch_embed.proj."),
        ("patch_norm.", "patch_embed.norm."),
        ("attention.position_biases", "attn.relative_position_bias_table"),
        ("attention.output.", "attn.proj."),
        ("attention.", "attn."),
        ("expand.", "mlp.fc1."),
        ("contract.", "mlp.fc2."),
    ):
        name = name.replace(ours, theirs)
    return name


def timm_swin(name: str) -> str:
    return re.sub(
        r"^layers\.(\d)\.downsample", lambda found: f"layers.{int(found[1]) + 1}.downsample", published_swin(name)
    )


def torchvision_swin(name: str) -> str:
    name = (
        published_swin(name).replace("patch_embed.proj.", "features.0.0.").replace("patch_embed.norm.", "features.0.2.")
    )
    name = re.sub(r"^layers\.(\d)\.blocks\.", lambda found: f"features.{2 * int(found[1]) + 1}.", name)
    name = re.sub(r"^layers\.(\d)\.downsample\.", lambda found: f"features.{2 * int(found[1]) + 2}.", name)
    return name.replace("mlp.fc1.", "mlp.0.").replace("mlp.fc2.", "mlp.3.")


def test_a_resnet_of_torchvision_fills_the_backbone(tmp_path: Path) -> None:
    source, model = (pem.build("mask2former-r101", 2, encoder_layers=(0, 0, 0)) for _ in range(2))
    expected = write(source, torchvision_resnet, tmp_path / "r.pth", **{"fc.bias": torch.zeros(1000)})
    names = torch.load(tmp_path / "r.pth")["model"].keys()
    assert {"conv1.weight", "bn1.running_mean", "layer1.0.downsample.0.weight", "layer3.22.bn3.weight"} <= names
    require_filled(model, tmp_path / "r.pth", expected)
    with pytest.raises(CheckpointError, match=r"does not fit the backbone of pem-stdc1: \d+ tensors are missing"):
        load_backbone(pem.build("pem-stdc1", 2), tmp_path / "r.pth", print)


def test_a_published_stdc_fills_the_backbone(tmp_path: Path) -> None:
    source, model = (pem.build("pem-stdc1", 2) for _ in range(2))
    expected = write(source, published_stdc, tmp_path / "STDCNet813M_73.91.tar", **{"fc.weight": torch.zeros(9, 9)})
    require_filled(model, tmp_path / "STDCNet813M_73.91.tar", expected)


@pytest.mark.parametrize(
    ("rename", "typical"),
    [
        (
            published_swin,
            {"patch_embed.norm.bias", "layers.1.blocks.0.attn.qkv.weight", "layers.0.downsample.norm.bias"},
        ),
        (timm_swin, {"patch_embed.proj.weight", "layers.3.blocks.1.mlp.fc2.bias", "layers.3.downsample.norm.bias"}),
        (torchvision_swin, {"features.0.0.weight", "features.7.1.mlp.3.bias", "features.6.reduction.weight"}),
    ],
)
def test_a_swin_fills_the_backbone_but_for_norms_it_lacks(rename: Rename, typical: set[str], tmp_path: Path) -> None:
    source, model = TINY_MASK2FORMER.build(2), TINY_MASK2FORMER.build(2)
    index = "layers.0.blocks.0.attn.relative_position_index"
    head = {"norm.weight": torch.zeros(128), "head.bias": torch.zeros(2), index: torch.zeros(49, 49)}
    expected = write(source, rename, tmp_path / "s.pth", **head)
    assert typical <= torch.load(tmp_path / "s.pth")["model"].keys()
    require_filled(model, tmp_path / "s.pth", expected)


def test_windows_of_another_size_are_named(tmp_path: Path) -> None:
    write(replace(TINY_MASK2FORMER, window=12).build(2), published_swin, tmp_path / "s.pth")
    with pytest.raises(
        CheckpointError, match="with windows of 12x12, tiny-mask2former has 7x7: give weights"
    ) as refusal:
        load_backbone(TINY_MASK2FORMER.build(2), tmp_path / "s.pth", print)
    assert "\n" not in str(refusal.value)


def tiny_swin_with_weights(folder: Path, theirs: PreTrainedModel) -> Backbone:
    """Return our backbone with the random weights that ``theirs`` gets and writes."""
    randomized(theirs).save_pretrained(folder)
    model = TINY_MASK2FORMER.build(2).eval()
    load_backbone(model, folder, print)
    assert isinstance(model.backbone, Backbone)
    return model.backbone


def test_a_swin_of_transformers_computes_the_same_here(tmp_path: Path) -> None:
    theirs = SwinBackbone(SwinConfig(**TINY_SWIN, **ALL_STAGES))
    ours = tiny_swin_with_weights(tmp_path, theirs)
    pixels = torch.randn(1, 3, 256, 288, generator=torch.Generator().manual_seed(0))
    for found, expected in zip(ours(pixels), theirs(pixels).feature_maps, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_a_classifier_of_transformers_computes_the_same_here_up_to_its_norm(tmp_path: Path) -> None:
    theirs = SwinForImageClassification(SwinConfig(**TINY_SWIN))
    ours = tiny_swin_with_weights(tmp_path, theirs)
    assert isinstance(ours, SwinTransformer)
    ours.norms = torch.nn.ModuleList(torch.nn.Identity() for _ in range(4))
    pixels = torch.randn(1, 3, 256, 288, generator=torch.Generator().manual_seed(0))
    expected = theirs.swin(pixels, output_hidden_states=True).reshaped_hidden_states[-1]
    torch.testing.assert_close(ours(pixels)[3], expected, atol=1e-4, rtol=1e-4)


def test_a_resnet_of_transformers_computes_the_same_here(tmp_path: Path) -> None:
    theirs = randomized(ResNetForImageClassification(ResNetConfig(depths=[3, 4, 6, 3])), 0)
    theirs.save_pretrained(tmp_path)
    model = pem.build("pem-r50", 2).eval()
    load_backbone(model, tmp_path, print)
    pixels = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    expected = theirs.resnet(pixels).last_hidden_state
    torch.testing.assert_close(model.backbone(pixels)[3], expected, atol=1e-4, rtol=1e-4)


def test_quantized_weights_are_refused(tmp_path: Path) -> None:
    model = pem.build("pem-nano", 2)
    quantized = {
        f"backbone.{name}": (127 * tensor.clamp(-1, 1)).to(torch.int8) if tensor.is_floating_point() else tensor
        for name, tensor in model.backbone.state_dict().items()
    }
    torch.save(quantized, tmp_path / "int8.pth")
    with pytest.raises(CheckpointError, match=r"holds numbers of type int8, expected floating-point ones"):
        load_backbone(model, tmp_path / "int8.pth", print)
