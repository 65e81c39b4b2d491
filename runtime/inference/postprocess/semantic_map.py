"""Semantic segmentation: turns a model's outputs into the class of every pixel.

The map is computed one tile at a time, so that masks or class scores of the whole output are never in memory.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.inference.postprocess.classes import ROUNDING, check, probabilities, sigmoid
from pem_edge.runtime.inference.postprocess.tiles import tiling

_NEGLIGIBLE = 1e-6
"""What all queries together may add to a score, relative to the best one, and still count as constant in a tile."""


def semantic(
    logits: NDArray[np.floating],
    masks: NDArray[np.floating],
    *,
    padded_size: tuple[int, int],
    image_size: tuple[int, int],
    output_size: tuple[int, int],
) -> NDArray[np.int32]:
    """Find the most probable class of every pixel as Mask2Former's ``semantic_inference`` does.

    The score of a class at a pixel is the sum over all queries of class probability times mask probability.

    Example:
        >>> import pem_edge
        >>> from pem_edge.runtime import postprocess
        >>> result = pem_edge.load("demo")("demo:street")
        >>> logits, masks = result.outputs()
        >>> sizes = {"padded_size": (256, 512), "image_size": (256, 512), "output_size": (512, 1024)}
        >>> postprocess.semantic(logits, masks, **sizes).shape
        (512, 1024)

    Args:
        logits: Class logits before softmax, (Q, K+1), float32 or float16.
        masks: Mask logits before sigmoid, (Q, h, w), (h, w) a quarter of ``padded_size``, float32 or float16.
        padded_size: The size of the model's input, (height, width).
        image_size: The size of the image within it.
        output_size: The size of the map returned.

    Returns:
        The class of each pixel, int32 of ``output_size``, 0 to K-1.

    Raises:
        ValueError: If shapes or sizes do not fit together, or a value is not finite.
    """
    return classify_pixels(logits, masks, Geometry(padded_size, image_size, output_size))


def classify_pixels(logits: NDArray[np.floating], masks: NDArray[np.floating], geometry: Geometry) -> NDArray[np.int32]:
    """Find the most probable class of every pixel as `semantic` does, given the geometry."""
    check(logits, masks, geometry)
    masks, class_probabilities = masks.astype(np.float32, copy=False), probabilities(logits)[:, :-1].T
    tiles = tiling(geometry)
    low, high = tiles.bounds(masks)
    low, high = sigmoid(low), sigmoid(high)
    score_low, score_high = class_probabilities @ low, class_probabilities @ high
    spread, least = high - low, score_low.max(axis=0)
    possible = score_high * (1 + ROUNDING) >= least
    classes = np.empty(geometry.output_size, np.int32)
    for index, tile in enumerate(tiles.tiles):
        candidates = np.flatnonzero(possible[:, index])
        if len(candidates) == 1:
            classes[tile.out] = candidates[0]
            continue
        weights = class_probabilities[candidates]
        varying = weights.max(axis=0) * spread[:, index] > _NEGLIGIBLE / len(masks) * least[index]
        queries = np.flatnonzero(varying)
        constant = weights[:, ~varying] @ low[~varying, index]
        scores = np.tensordot(weights[:, queries], sigmoid(tile.interpolate(masks, queries)), axes=1)
        scores += constant[:, None, None]
        classes[tile.out] = candidates[scores.argmax(axis=0)]
    return classes
