"""Probabilities, and checks of a model's outputs, shared by all postprocessing tasks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry

ROUNDING = 1e-4
"""Relative tolerance, well above the error of an interpolated score. Bounds must differ by more to decide a winner."""


def check(logits: NDArray[np.floating], masks: NDArray[np.floating], geometry: Geometry) -> None:
    """Check the shapes of a model's outputs, and that the class logits are finite.

    Args:
        logits: Class logits, which must be (Q, K+1).
        masks: Mask logits, which must be (Q, h, w), with (h, w) the mask size of ``geometry``.
        geometry: The sizes of the model's input, of the image within it, and of the result.

    Raises:
        ValueError: If a shape is wrong, or a class logit is not finite.
    """
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
    """Return the softmax of ``logits`` over the last axis, in float32."""
    logits = logits.astype(np.float32)
    powers: NDArray[np.float32] = np.exp(logits - logits.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logistic function of each value."""
    with np.errstate(over="ignore"):  # exp may overflow to infinity, whose reciprocal is the correct 0
        inverse: NDArray[np.float32] = 1 + np.exp(-values)
    return np.reciprocal(inverse)
