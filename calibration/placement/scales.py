"""Scales and zero points, and weights and biases rounded to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pem_edge.calibration.activations.ranges import Range

_LEAST = {np.dtype(np.float32): 2.0**-100, np.dtype(np.float16): 2.0**-14}
"""The least step, by the type it is stored in: smaller ones lose bits, or are 0."""

_MOST_BIAS = 2.0**30
"""In steps; the accumulator, 32 bits with a sign, has room for as much again."""


@dataclass(frozen=True)
class Scale:
    """``real = (quantized - zero) * step``; ``zero``, int8 or uint8, says which type the tensor becomes."""

    step: NDArray[np.floating]
    zero: NDArray[np.int8] | NDArray[np.uint8]


def activation_scale(found: Range, kind: np.dtype[np.floating], *, symmetric: bool) -> Scale:
    """Return the scale that spreads int8 with zero point 0, or uint8 with any, over a range.

    ``kind`` is the type of the step.
    """
    low, high = found
    if symmetric:
        return Scale(stored(np.array(max(-low, high) / 127), kind), np.array(0, np.int8))
    step = stored(np.array((high - low) / 255), kind)
    return Scale(step, np.array(np.clip(np.round(-low / float(step)), 0, 255), np.uint8))


def weight_steps(weights: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the step of each output channel, (C',) of the type of ``weights`` (C', ...)."""
    return stored(np.abs(weights).reshape(len(weights), -1).max(axis=1).astype(np.float64) / 127, weights.dtype)


def steps_for_bias(steps: NDArray[np.floating], bias: NDArray[np.floating], activation: Scale) -> NDArray[np.floating]:
    """Return the ``steps`` of weights, made wide enough that ``bias`` fits into int32.

    The step of a bias is that of the weights times that of the activation.
    """
    least = np.abs(bias.astype(np.float64)) / (_MOST_BIAS * float(activation.step))
    return stored(np.maximum(steps, least), steps.dtype)


def rounded_weights(weights: NDArray[np.floating], steps: NDArray[np.floating]) -> NDArray[np.int8]:
    """Return ``weights`` in steps of their output channel, int8 from -127 to 127."""
    levels = weights.astype(np.float64) / steps.astype(np.float64).reshape(-1, *(1,) * (weights.ndim - 1))
    return np.asarray(np.round(levels).clip(-127, 127), np.int8)


def stored(steps: NDArray[np.floating], kind: np.dtype[np.floating]) -> NDArray[np.floating]:
    """Return ``steps`` as ``kind``, float32 or float16, none below what that type holds at full precision."""
    return np.asarray(np.maximum(steps, _LEAST[np.dtype(kind)]).astype(kind))
