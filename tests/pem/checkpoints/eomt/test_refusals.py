"""EoMTs that do not load, and files made to break the reading of one, are refused in one line with the cure."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import EomtDinov3Config, EomtDinov3ForUniversalSegmentation

from pem_edge import pem
from pem_edge.pem.checkpoints import Checkpoint, open_checkpoint
from pem_edge.pem.checkpoints.descriptions import transformers_config
from pem_edge.pem.model import MaskClassifier
from pem_edge.pem.variants import VARIANTS
from pem_edge.runtime.errors import CheckpointError
from reference.huggingface import eomt
from reference.huggingface.folders import change_json, id2label
from tests.helpers.tiny import TINY_EOMT
from tests.pem.checkpoints.eomt.conftest import SIDE

State = dict[str, Tensor]

DINOV3 = (
    "EoMT with DINOv3, published as differences from weights that Meta gives out on request, which is not supported"
)
GIANT = "EoMT with a ViT-g or larger, which is not supported"


def refused(source: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(source, lambda _text: None)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message.replace(str(source), "")) < 420
    return message


def check(folder: Path, to: Path, model: MaskClassifier, **values: object) -> None:
    """Check ``model`` against the configuration in ``folder`` with other values."""
    shutil.copy(folder / "config.json", to)
    change_json(to / "config.json", **values)
    config, _ = transformers_config.read(to, print, print)
    transformers_config.check(config, model, "roads")


CONFIGURED: dict[str, tuple[dict[str, Any], str]] = {
    "DINOv3": ({"model_type": "eomt_dinov3"}, f"is of {DINOV3}"),
    "ViT-g": ({"use_swiglu_ffn": True, "num_hidden_layers": 40}, f"is of {GIANT}"),
    "heads": ({"num_attention_heads": 12}, "claims 12 attention heads, the tensors are of a model with 6"),
    "another family": (
        {"model_type": "mask2former", "num_attention_heads": 8},
        "is of another family, the tensors are those of eomt-s",
    ),
    "patches": ({"patch_size": 14}, "patch_size is 14, only 16 is supported"),
    "wide patches": ({"patch_size": [16, 32]}, "patch_size is 32, only 16 is supported"),
    "activation": ({"hidden_act": "relu"}, "hidden_act is 'relu', only 'gelu' is supported"),
    "strides": ({"num_upscale_blocks": 1}, "num_upscale_blocks is 1, only 2 is supported"),
    "blocks": ({"num_hidden_layers": 24}, "claims 24 blocks, the tensors are of a model with 12"),
    "queries in more blocks": ({"num_blocks": 4}, "claims 4 blocks with queries, the tensors are of a model with 3"),
    "size": ({"image_size": 640}, "claims 640 pixels a side, the tensors are of a model with 96"),
    "a rectangle": ({"image_size": [96, 128]}, "claims 128 pixels a side, the tensors are of a model with 96"),
    "registers": ({"num_register_tokens": 0}, "claims 0 registers, the tensors are of a model with 4"),
    "width": ({"hidden_size": 768}, "claims 768 channels, the tensors are of a model with 384"),
    "classes": ({"id2label": {"0": "road"}}, "claims 1 classes, the tensors are of a model with 5"),
}


@pytest.mark.parametrize("case", CONFIGURED)
def test_a_configuration_must_be_of_a_supported_model_and_fit_the_tensors(
    case: str, folder: Path, opened: Checkpoint, tmp_path: Path
) -> None:
    values, reason = CONFIGURED[case]
    with pytest.raises(CheckpointError, match=re.escape(reason)):
        check(folder, tmp_path, opened.model, **values)


def test_sides_of_squares_may_be_written_twice(folder: Path, opened: Checkpoint, tmp_path: Path) -> None:
    check(folder, tmp_path, opened.model, image_size=[SIDE, SIDE], patch_size=[16, 16])


def dinov3() -> State:
    """Return the tensors of a small one by transformers' names."""
    config = EomtDinov3Config(
        hidden_size=32, num_attention_heads=2, num_hidden_layers=3, intermediate_size=64, num_blocks=1, **id2label(3)
    )
    return dict(EomtDinov3ForUniversalSegmentation(config).state_dict())


def dinov3_of_authors() -> State:
    """Return tensors by the names of the authors' network, whose backbone is transformers' DINOv3."""
    vit = "network.encoder.backbone."
    names = ["patch_embed.register_tokens", "patch_embed.patch_embeddings.weight", "norm.weight"]
    names += [f"blocks.{i}.attention.{part}_proj.weight" for i in range(3) for part in "qkvo"]
    names += [f"blocks.{i}.{part}" for i in range(3) for part in ("layer_scale1.lambda1", "mlp.up_proj.weight")]
    heads = ("q.weight", "class_head.bias", "upscale.0.conv1.weight", "mask_head.0.weight", "attn_mask_probs")
    return {**{vit + name: torch.ones(4) for name in names}, **{f"network.{name}": torch.ones(4) for name in heads}}


def giant() -> State:
    """Return the names alone of one with 40 blocks."""
    with torch.device("meta"):
        state = eomt.build("small", 3, 4, 32, num_hidden_layers=40, use_swiglu_ffn=True).state_dict()
    return {name: torch.zeros(2) for name in state}


FOREIGN: dict[str, tuple[Callable[[], State], str]] = {
    "DINOv3 of transformers": (dinov3, DINOV3),
    "DINOv3 of the authors": (dinov3_of_authors, DINOV3),
    "ViT-g of transformers": (giant, GIANT),
    "ViT-g of the authors": (lambda: eomt.authors_file(giant()), GIANT),
}


@pytest.mark.parametrize("wrapping", ["bare", "Lightning"])
@pytest.mark.parametrize("case", FOREIGN)
def test_models_of_its_kin_are_named_without_a_configuration(case: str, wrapping: str, tmp_path: Path) -> None:
    make, model = FOREIGN[case]
    state = make()
    torch.save(state if wrapping == "bare" else {"state_dict": state}, tmp_path / "model.ckpt")
    assert f"model.ckpt is a checkpoint of {model}" in refused(tmp_path / "model.ckpt")


def test_a_configuration_may_say_as_little_as_the_authors_do(opened: Checkpoint, tmp_path: Path) -> None:
    said = {"model_type": "eomt", "image_size": SIDE, "patch_size": 16, "num_queries": opened.model.num_queries}
    (tmp_path / "config.json").write_text(json.dumps({**said, "num_blocks": 3, "num_labels": 5}))
    config, _ = transformers_config.read(tmp_path, print, print)
    transformers_config.check(config, opened.model, "roads")


@pytest.mark.parametrize("name", ["pixel_mean", "pixel_std"])
def test_pixels_that_the_authors_file_normalizes_otherwise_are_refused(name: str, tiny: State, tmp_path: Path) -> None:
    state = eomt.authors_file(tiny)
    state[f"network.encoder.{name}"] = state[f"network.encoder.{name}"] * 0.9
    torch.save(state, tmp_path / "pytorch_model.bin")
    assert f"encoder.{name} is not that of ImageNet" in refused(tmp_path / "pytorch_model.bin")


MASKED = "attn_mask_probs are up to {}, expected 0: attention is still masked"
SPOILED: dict[str, tuple[dict[str, Tensor | None], str]] = {
    "masked": ({"attn_mask_probs": torch.tensor([0.0, 0.25, 0.9])}, MASKED.format("0.9")),
    "masked a little less than none": ({"attn_mask_probs": torch.tensor([0.0, -0.5, 0.0])}, MASKED.format("0.5")),
    "masked by NaN": ({"attn_mask_probs": torch.tensor([0.0, float("nan"), 0.0])}, MASKED.format("nan")),
    "masked by integers": ({"attn_mask_probs": torch.tensor([0, 1, 0])}, MASKED.format("1")),
    "masked by truth": ({"attn_mask_probs": torch.tensor([True, False])}, MASKED.format("1")),
    "masked in no block": ({"attn_mask_probs": torch.zeros(0)}, "has the shape (0,), expected one number for each"),
    "masked in no dimension": ({"attn_mask_probs": torch.zeros(())}, "has the shape (), expected one number for each"),
    "masked in a million blocks": ({"attn_mask_probs": torch.zeros(10**6)}, "expected one number for each of 1 to 32"),
    "masked in more blocks than there are": ({"attn_mask_probs": torch.zeros(5)}, "does not fit tiny-eomt"),
    "one position": (
        {"embeddings.position_embeddings.weight": torch.zeros(())},
        "positions.weight (), expected (16, 32)",
    ),
    "no positions": (
        {"embeddings.position_embeddings.weight": torch.zeros(0, 32)},
        "positions.weight (0, 32), expected (1, 32)",
    ),
    "positions without channels": (
        {"embeddings.position_embeddings.weight": torch.zeros(1 << 20, 0)},
        f"positions.weight ({1 << 20}, 0), expected ({1 << 20}, 32)",
    ),
    "positions with the class token": (
        {"embeddings.position_embeddings.weight": torch.zeros(1601, 32)},
        "has 1601 positions, expected one for each patch of a square image: a Vision Transformer without registers",
    ),
    "positions of a rectangle": (
        {"embeddings.position_embeddings.weight": torch.zeros(20 * 40, 32)},
        "has 800 positions, expected one for each patch of a square image: training had other images",
    ),
    "integers as positions": (
        {"embeddings.position_embeddings.weight": torch.zeros(16, 32, dtype=torch.int64)},
        "backbone.positions.weight holds numbers of type int64",
    ),
    "a class token of no dimension": ({"embeddings.cls_token": torch.zeros(())}, "1 missing (backbone.prefix)"),
    "a batch of class tokens": ({"embeddings.cls_token": torch.zeros(3, 1, 32)}, "1 missing (backbone.prefix)"),
    "narrow registers": ({"embeddings.register_tokens": torch.zeros(1, 4, 3)}, "1 missing (backbone.prefix)"),
    "no class token": ({"embeddings.cls_token": None}, "1 missing (backbone.prefix)"),
    "no registers": ({"embeddings.register_tokens": None}, "1 missing (backbone.prefix)"),
    "a block twice": ({"layers.01.norm1.bias": torch.full((32,), 9.0)}, "is a second name of a tensor, but its values"),
    "two prefixes": ({"backbone.prefix": torch.zeros(5, 32)}, "2 unexpected (class_token, registers)"),
    "a gap": ({f"layers.1.{name}": None for name in ("norm1.weight", "norm1.bias")}, "does not fit tiny-eomt"),
    "a block far away": ({f"layers.{10**9}.norm1.weight": torch.zeros(32)}, "does not fit tiny-eomt"),
    "a block farther than numbers go": ({f"layers.{'9' * 5000}.norm1.weight": torch.zeros(32)}, "is damaged or not"),
    "projections without dimension": (
        {f"layers.0.attention.{part}_proj.bias": torch.zeros(()) for part in "qkv"},
        "does not fit tiny-eomt",
    ),
    "no queries": ({"query.weight": torch.zeros(0, 32)}, "has no class head or no queries"),
    "queries of no dimension": ({"query.weight": torch.zeros(())}, "has no class head or no queries"),
    "no classes": ({"class_predictor.bias": torch.zeros(0)}, "has no class head or no queries"),
    "NaN": ({"query.weight": torch.full((8, 32), float("nan"))}, "decoder.query_features holds values that are not"),
}
"""Tensors in place of those of a model of transformers, None for none, and what is said of them."""


@pytest.fixture(scope="module")
def tiny() -> State:
    """Return the tensors, by transformers' names, of a model that is quickly written."""
    settings = {"hidden_size": TINY_EOMT.width, "num_attention_heads": 2, "num_hidden_layers": 4, "num_blocks": 2}
    return dict(eomt.build("small", 5, 8, 64, **settings).state_dict())


@pytest.fixture(autouse=True)
def with_tiny_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VARIANTS, TINY_EOMT.name, TINY_EOMT)


def test_the_tiny_model_loads_as_it_is(tiny: State, tmp_path: Path) -> None:
    save_file(tiny, tmp_path / "model.safetensors")
    assert pem.load(tmp_path / "model.safetensors", print).variant == TINY_EOMT.name


@pytest.mark.parametrize("case", SPOILED)
def test_tensors_that_no_model_has_are_refused_in_one_line(case: str, tiny: State, tmp_path: Path) -> None:
    changes, reason = SPOILED[case]
    changed = {name: tensor for name, tensor in {**tiny, **changes}.items() if tensor is not None}
    path = tmp_path / "model.safetensors"
    save_file(changed, path)
    message = refused(path)
    assert reason in message
    assert path.name in message


@pytest.mark.parametrize("shape", [(), (0, 32), (17, 32), (1 << 20, 0)])
def test_positions_by_our_own_names_are_looked_at_too(shape: tuple[int, ...], tmp_path: Path) -> None:
    state = TINY_EOMT.build(3).state_dict()
    save_file({**state, "backbone.positions.weight": torch.zeros(shape)}, tmp_path / "model.safetensors")
    assert "does not fit tiny-eomt: 1 misshapen (backbone.positions" in refused(tmp_path / "model.safetensors")
