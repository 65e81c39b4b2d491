"""Class probabilities of queries, and the checks of a model's outputs that every task shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry

ROUNDING = 1e-4
"""Relative error of an interpolated score, with room to spare: bounds that are closer than this decide nothing."""


def check(logits: NDArray[np.floating], masks: NDArray[np.floating], geometry: Geometry) -> None:
    """Raise ValueError unless logits are (Q, K+1) and finite, and masks (Q, h, w) on the grid of ``geometry``."""
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(f"logits have shape {logits.shape}, expected (queries, classes + 1)")
    if masks.shape != (len(logits), *geometry.mask_size):
        raise ValueError(
            f"masks have shape {masks.shape}, expected {(len(logits), *geometry.mask_size)}: "
            f"{len(logits)} queries as in logits, and a quarter of padded_size {geometry.padded_size}"
        )
    if not np.isfinite(logits).all():
        raise ValueError("logits hold NaN or infinity, expected finite numbers: the model overflows, use fp32")


def probabilities(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return softmax over the last axis, in float32."""
    logits = logits.astype(np.float32)
    powers: NDArray[np.float32] = np.exp(logits - logits.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logistic function of each value."""
    with np.errstate(over="ignore"):  # exp overflows to infinity, which divides to the right 0
        inverse: NDArray[np.float32] = 1 + np.exp(-values)
    return np.reciprocal(inverse)
