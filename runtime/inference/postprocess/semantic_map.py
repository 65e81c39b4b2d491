"""The class of every pixel, computed tile by tile so that memory does not grow with queries times classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.inference.postprocess.classes import ROUNDING, check, probabilities, sigmoid
from pem_edge.runtime.inference.postprocess.tiles import tiling

_ALL = slice(None)


def semantic(
    logits: NDArray[np.floating],
    masks: NDArray[np.floating],
    *,
    padded_size: tuple[int, int],
    image_size: tuple[int, int],
    output_size: tuple[int, int],
) -> NDArray[np.int32]:
    """Return the most probable class of every pixel, int32 ``output_size``, 0 to K-1.

    The score of a class at a pixel is the sum over queries of class probability times mask probability (Mask2Former's
    ``semantic_inference``).

    Args:
        logits: Class logits before softmax, (Q, K+1), float32 or float16.
        masks: Mask logits before sigmoid, (Q, h, w), (h, w) a quarter of ``padded_size``, float32 or float16.
        padded_size: The size of the model's input, (height, width).
        image_size: The size of the image within it.
        output_size: The size of the result.

    Raises:
        ValueError: If shapes or sizes do not fit together, or a value is not finite.
    """
    return classify_pixels(logits, masks, Geometry(padded_size, image_size, output_size))


def classify_pixels(logits: NDArray[np.floating], masks: NDArray[np.floating], geometry: Geometry) -> NDArray[np.int32]:
    """Return the most probable class of every pixel as `semantic` does, given the geometry."""
    check(logits, masks, geometry)
    masks, chances = masks.astype(np.float32, copy=False), probabilities(logits)[:, :-1].T
    tiles = tiling(geometry)
    low, high = tiles.bounds(masks)
    possible = (chances @ sigmoid(high)) * (1 + ROUNDING) >= (chances @ sigmoid(low)).max(axis=0)
    classes = np.empty(geometry.output_size, np.int32)
    for index, tile in enumerate(tiles.tiles):
        candidates = np.flatnonzero(possible[:, index])
        if len(candidates) == 1:
            classes[tile.out] = candidates[0]
            continue
        values = sigmoid(tile.interpolate(masks, _ALL))
        winner = np.tensordot(chances[candidates], values, axes=1).argmax(axis=0)
        classes[tile.out] = candidates[winner]
    return classes
