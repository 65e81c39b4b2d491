"""Instance segmentation: turns a model's outputs into scored object masks, which may overlap."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.inference.postprocess.classes import ROUNDING, check, probabilities, sigmoid
from pem_edge.runtime.inference.postprocess.tiles import tiling
from pem_edge.runtime.results.segments import Instance

_EPSILON = 1e-6
"""Value that Mask2Former's code adds to a mask's area before dividing by it."""


def instances(
    logits: NDArray[np.floating],
    masks: NDArray[np.floating],
    *,
    padded_size: tuple[int, int],
    image_size: tuple[int, int],
    output_size: tuple[int, int],
    things: Collection[int],
    top_k: int = 100,
    score_threshold: float = 0.0,
) -> list[Instance]:
    """Find instances as Mask2Former's ``instance_inference`` does.

    Candidates are the ``top_k`` most probable pairs of query and class; pairs of a stuff class are dropped. A pixel
    belongs to an instance if its mask logit is above 0. The score of an instance is its class probability times the
    mean mask probability of its pixels.

    Example:
        >>> import pem_edge
        >>> from pem_edge.runtime import labels, postprocess
        >>> result = pem_edge.load("demo")("demo:street")
        >>> logits, masks = result.outputs()
        >>> sizes = {"padded_size": (256, 512), "image_size": (256, 512), "output_size": (512, 1024)}
        >>> found = postprocess.instances(logits, masks, **sizes, things=labels.things(result.labels))
        >>> found[0].mask.shape
        (512, 1024)

    Args:
        logits: Class logits before softmax, (Q, K+1), float32 or float16.
        masks: Mask logits before sigmoid, (Q, h, w), (h, w) a quarter of ``padded_size``, float32 or float16.
        padded_size: The size of the model's input, (height, width).
        image_size: The size of the image within it.
        output_size: The size of the masks returned.
        things: The ids of the classes that have instances.
        top_k: The number of pairs to consider.
        score_threshold: The minimum score of an instance, 0 to 1. Only masks of instances that may reach it are
            computed.

    Returns:
        The instances that have pixels and reach the threshold, by descending score. Their ``label`` is empty, and
        instances of one query share one mask array.

    Raises:
        ValueError: If shapes or sizes do not fit together, or a value is not finite.
    """
    return find_instances(logits, masks, Geometry(padded_size, image_size, output_size), things, top_k, score_threshold)


def find_instances(
    logits: NDArray[np.floating],
    masks: NDArray[np.floating],
    geometry: Geometry,
    things: Collection[int],
    top_k: int = 100,
    score_threshold: float = 0.0,
) -> list[Instance]:
    """Find instances as `instances` does, given the geometry."""
    check(logits, masks, geometry)
    class_probabilities = probabilities(logits)[:, :-1]
    best = np.argsort(-class_probabilities, axis=None, kind="stable")[:top_k]
    queries, classes = np.divmod(best, class_probabilities.shape[1])
    # The score is the class probability times a mean of at most 1, which rounding may exceed by a little.
    possible = class_probabilities[queries, classes] * (1 + ROUNDING) >= score_threshold
    wanted = np.isin(classes, list(things)) & possible
    queries, classes = queries[wanted], classes[wanted]
    distinct, mask_index = np.unique(queries, return_inverse=True)
    pixels, mask_scores = _binarize(masks[distinct].astype(np.float32), geometry)
    scores = class_probabilities[queries, classes] * mask_scores[mask_index]
    return [
        Instance(category_id=int(classes[pair]), label="", score=float(scores[pair]), mask=pixels[mask_index[pair]])
        for pair in np.argsort(-scores, kind="stable")
        if scores[pair] > 0 and scores[pair] >= score_threshold
    ]


def _binarize(masks: NDArray[np.float32], geometry: Geometry) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return the pixels where each mask logit is above 0, and the mean mask probability of these pixels.

    Args:
        masks: Mask logits, (Q, h, w).
        geometry: The sizes of the model's input, of the image within it, and of the masks returned.

    Returns:
        The binary masks, (Q, H, W), and their mean probabilities, (Q,), which are 0 for masks without pixels.
    """
    tiles = tiling(geometry)
    _, high = tiles.bounds(masks)
    pixels = np.zeros((len(masks), *geometry.output_size), np.bool_)
    area, total = np.zeros((2, len(masks)))
    for index in np.flatnonzero((high > 0).any(axis=0)):
        tile, queries = tiles.tiles[index], np.flatnonzero(high[:, index] > 0)
        values = tile.interpolate(masks, queries)
        inside = values > 0
        pixels[queries, tile.row.out, tile.column.out] = inside
        area[queries] += np.count_nonzero(inside, axis=(1, 2))
        total[queries] += np.sum(sigmoid(values), axis=(1, 2), where=inside)
    return pixels, total / (area + _EPSILON)
