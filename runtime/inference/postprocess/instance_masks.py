"""Scored object masks, which may overlap."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.inference.postprocess.classes import check, probabilities, sigmoid
from pem_edge.runtime.inference.postprocess.tiles import tiling
from pem_edge.runtime.results.segments import Instance

_EPSILON = 1e-6
"""Added to a mask's area where the published code divides by it."""


def instances(
    logits: NDArray[np.floating],
    masks: NDArray[np.floating],
    *,
    padded_size: tuple[int, int],
    image_size: tuple[int, int],
    output_size: tuple[int, int],
    things: Collection[int],
    top_k: int = 100,
) -> list[Instance]:
    """Return the things among the ``top_k`` likeliest pairs of query and class, best first.

    A pixel belongs to a mask where its logit is above 0; instances without pixels are left out. The score is the class
    probability times the mean mask probability there (Mask2Former's ``instance_inference``). Instances of one query
    share one mask; ``label`` is left empty.

    Args:
        logits: Class logits before softmax, (Q, K+1), float32 or float16.
        masks: Mask logits before sigmoid, (Q, h, w), (h, w) a quarter of ``padded_size``, float32 or float16.
        padded_size: The size of the model's input.
        image_size: The size of the image within it.
        output_size: The size of the results.
        things: The ids of the classes whose instances are counted apart.
        top_k: The number of pairs to look at.

    Raises:
        ValueError: If shapes or sizes do not fit together, or a value is not finite.
    """
    return find_instances(logits, masks, Geometry(padded_size, image_size, output_size), things, top_k)


def find_instances(
    logits: NDArray[np.floating],
    masks: NDArray[np.floating],
    geometry: Geometry,
    things: Collection[int],
    top_k: int = 100,
) -> list[Instance]:
    """Return scored object masks as `instances` does, given the geometry."""
    check(logits, masks, geometry)
    chances = probabilities(logits)[:, :-1]
    likeliest = np.argsort(-chances, axis=None, kind="stable")[:top_k]
    queries, classes = np.divmod(likeliest, chances.shape[1])
    wanted = np.isin(classes, list(things))
    queries, classes = queries[wanted], classes[wanted]
    shown, place = np.unique(queries, return_inverse=True)
    pixels, certainty = _binarise(masks[shown].astype(np.float32), geometry)
    scores = chances[queries, classes] * certainty[place]
    return [
        Instance(category_id=int(classes[pair]), label="", score=float(scores[pair]), mask=pixels[place[pair]])
        for pair in np.argsort(-scores, kind="stable")
        if scores[pair] > 0
    ]


def _binarise(masks: NDArray[np.float32], geometry: Geometry) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return where each mask is above 0, bool (Q, H, W), and its mean probability there (Q,), 0 if that is nowhere."""
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
