"""The published models: weights by formula, and what the published code computed from them in float64."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pem_edge.pem import MaskClassifier
from reference.synthetic import REFERENCE, synthetic

MODELS = {
    "pem_r50_cityscapes": "pem-r50",
    "pem_r50_ade20k": "pem-r50",
    "pem_stdc1_cityscapes": "pem-stdc1",
    "pem_stdc2_cityscapes": "pem-stdc2",
    "mask2former_r50_coco": "mask2former-r50",
    "proscale_r50_coco": "proscale-r50",
    "proscale_swint_coco": "proscale-swin-t",
}
"""Golden models and the variant each is."""

LOGITS_TOLERANCE, MASKS_TOLERANCE = 1e-3, 5e-3

Arrays = dict[str, NDArray[np.float32]]


def write_checkpoint(model: str, folder: Path) -> Path:
    """Return the checkpoint as detectron2 writes it; written once a folder."""
    path = folder / f"{model}.pth"
    if not path.exists():
        torch.save({"model": state_dict(model), "iteration": 89999}, path)
    return path


def state_dict(model: str) -> dict[str, Tensor]:
    """Return the checkpoint's tensors under their published names."""
    return {
        key: torch.from_numpy(value) for key, value in synthetic().state_dict(model, int(golden(model)["seed"])).items()
    }


@cache
def golden(model: str) -> Arrays:
    with np.load(REFERENCE / "golden" / f"{model}.npz") as arrays:
        return dict(arrays)


def sizes(model: str) -> list[str]:
    """Return sizes of the golden images, such as "128x256"."""
    return sorted({key.split("/")[0] for key in golden(model) if "/" in key})


def image(size: str) -> Tensor:
    """Return the golden image, uint8 (1, H, W, 3)."""
    height, width = map(int, size.split("x"))
    return torch.from_numpy(synthetic().image(height, width, 0))[None]


def pixels(model: MaskClassifier, size: str) -> Tensor:
    """Return the golden image as the published code feeds it: normalized, then zero-padded to multiples of 32."""
    normalized = model.normalize(image(size))
    return F.pad(normalized, (0, -normalized.shape[3] % 32, 0, -normalized.shape[2] % 32))


def assert_golden(model: str, size: str, logits: NDArray[np.float32], masks: NDArray[np.float32]) -> None:
    """Assert that the outputs, (1, Q, K+1) and (1, Q, h, w), are the golden ones to the published tolerances."""
    expected = golden(model)
    np.testing.assert_allclose(logits[0], expected[f"{size}/pred_logits"], rtol=0, atol=LOGITS_TOLERANCE)
    np.testing.assert_allclose(masks[0], expected[f"{size}/pred_masks"], rtol=0, atol=MASKS_TOLERANCE)
