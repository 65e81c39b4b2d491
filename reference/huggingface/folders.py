"""Mask2Former of transformers with random weights, in folders as ``save_pretrained`` writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, ResNetConfig, SwinConfig
from transformers.models.mask2former.image_processing_pil_mask2former import Mask2FormerImageProcessorPil
from transformers.utils import logging

from reference.weights import randomized

STAGES = ["stage1", "stage2", "stage3", "stage4"]
BACKBONES: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "resnet50": (ResNetConfig, {"depths": [3, 4, 6, 3]}),
    "resnet101": (ResNetConfig, {"depths": [3, 4, 23, 3]}),
    "swin-tiny": (SwinConfig, {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24]}),
    "swin-small": (SwinConfig, {"embed_dim": 96, "depths": [2, 2, 18, 2], "num_heads": [3, 6, 12, 24]}),
    "swin-base": (
        SwinConfig,
        {"embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32], "window_size": 12},
    ),
    "swin-large": (
        SwinConfig,
        {"embed_dim": 192, "depths": [2, 2, 18, 2], "num_heads": [6, 12, 24, 48], "window_size": 12},
    ),
}
"""Backbones by their name in the names of models on the hub; these settings are those of facebook's."""

VARIANTS = {
    "resnet50": "mask2former-r50",
    "resnet101": "mask2former-r101",
    "swin-tiny": "mask2former-swin-t",
    "swin-small": "mask2former-swin-s",
    "swin-base": "mask2former-swin-b",
    "swin-large": "mask2former-swin-l",
}


def build(
    backbone: str, classes: int | Sequence[str], queries: int = 100, decoder_layers: int = 10, seed: int = 0
) -> Mask2FormerForUniversalSegmentation:
    """Return a model, in evaluation mode, of which every tensor is random."""
    quietly()
    kind, settings = BACKBONES[backbone]
    torch.manual_seed(seed)
    config = Mask2FormerConfig(
        backbone_config=kind(out_features=STAGES, **settings),
        num_queries=queries,
        decoder_layers=decoder_layers,
        **id2label(classes),
    )
    return randomized(Mask2FormerForUniversalSegmentation(config), seed)


def write(model: Mask2FormerForUniversalSegmentation, folder: Path, size: dict[str, int], **options: Any) -> Path:
    """Write the model and the settings of its preprocessing, and return ``folder``.

    Args:
        model: The model.
        folder: The folder.
        size: As in ``preprocessor_config.json``.
        options: Further arguments of ``save_pretrained``.
    """
    model.save_pretrained(folder, **options)
    processor = Mask2FormerImageProcessorPil(size=size, size_divisor=32, num_labels=model.config.num_labels)
    processor.save_pretrained(folder)
    return folder


def quietly() -> None:
    """Turn off what transformers tells of itself."""
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def id2label(classes: int | Sequence[str]) -> dict[str, Any]:
    """Return the settings of a configuration that name its classes; a number of them gets names."""
    names = [f"class {index}" for index in range(classes)] if isinstance(classes, int) else classes
    return {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}


def change_json(path: Path, **values: object) -> None:
    """Set values in a JSON file; None removes one."""
    document = json.loads(path.read_bytes())
    document.update(values)
    path.write_text(json.dumps({key: value for key, value in document.items() if value is not None}))
