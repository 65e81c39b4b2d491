"""Computes scales and zero points, and rounds weights to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pem_edge.calibration.activations.ranges import Range

_MINIMUM_STEP = {np.dtype(np.float32): 2.0**-100, np.dtype(np.float16): 2.0**-14}
"""Minimum step by the type that stores it. Smaller steps would lose precision or become 0."""

_MAXIMUM_BIAS = 2.0**30
"""Maximum magnitude of a quantized bias, half of what the int32 accumulator can hold."""


@dataclass(frozen=True)
class Scale:
    """The scale of a tensor, ``real = (quantized - zero) * step``; the quantized tensor has the type of ``zero``."""

    step: NDArray[np.floating]
    zero: NDArray[np.int8] | NDArray[np.uint8]


def activation_scale(found: Range, kind: np.dtype[np.floating], *, symmetric: bool) -> Scale:
    """Return the scale that maps a range to INT8.

    Args:
        found: The range of real values.
        kind: The type of the step, float32 or float16.
        symmetric: Whether to map to int8 with zero point 0; otherwise, to uint8 with any zero point.
    """
    low, high = found
    if symmetric:
        return Scale(_store_steps(np.array(max(-low, high) / 127), kind), np.array(0, np.int8))
    step = _store_steps(np.array((high - low) / 255), kind)
    return Scale(step, np.array(np.clip(np.round(-low / float(step)), 0, 255), np.uint8))


def weight_steps(weights: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the step of each output channel, (C',), for weights (C', ...); both have the same type."""
    return _store_steps(np.abs(weights).reshape(len(weights), -1).max(axis=1).astype(np.float64) / 127, weights.dtype)


def steps_for_bias(steps: NDArray[np.floating], bias: NDArray[np.floating], activation: Scale) -> NDArray[np.floating]:
    """Enlarge the steps of weights where ``bias``, (C',), would otherwise not fit into int32.

    The step of a bias is the product of the steps of the weights and of the activation.
    """
    minimum = np.abs(bias.astype(np.float64)) / (_MAXIMUM_BIAS * float(activation.step))
    return _store_steps(np.maximum(steps, minimum), steps.dtype)


def round_weights(weights: NDArray[np.floating], steps: NDArray[np.floating]) -> NDArray[np.int8]:
    """Divide ``weights``, (C', ...), by the steps of their output channels; return int8 from -127 to 127."""
    levels = weights.astype(np.float64) / steps.astype(np.float64).reshape(-1, *(1,) * (weights.ndim - 1))
    return np.asarray(np.round(levels).clip(-127, 127), np.int8)


def _store_steps(steps: NDArray[np.floating], kind: np.dtype[np.floating]) -> NDArray[np.floating]:
    """Convert ``steps`` to ``kind``, float32 or float16, after raising each to the minimum step of that type."""
    return np.asarray(np.maximum(steps, _MINIMUM_STEP[np.dtype(kind)]).astype(kind))
