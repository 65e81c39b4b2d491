"""The published merge of query masks into a panoptic map."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.manifest import Thresholds
from pem_edge.runtime.errors import PemError
from pem_edge.runtime.inference.postprocess.acceptance import Candidates, PixelAssignment, candidates, conclude
from pem_edge.runtime.inference.postprocess.classes import check
from pem_edge.runtime.inference.postprocess.compiled_assignment import CompiledAssignment
from pem_edge.runtime.inference.postprocess.native import library
from pem_edge.runtime.inference.postprocess.numpy_assignment import NumpyAssignment
from pem_edge.runtime.results.segments import Segment

OVERRIDE = "PEM_EDGE_MERGE"
"""Environment variable: the form of the merge to use, "compiled" or "numpy"."""


def panoptic(
    logits: NDArray[np.floating],
    masks: NDArray[np.floating],
    *,
    padded_size: tuple[int, int],
    image_size: tuple[int, int],
    output_size: tuple[int, int],
    things: Collection[int],
    score_threshold: float = 0.8,
    overlap_threshold: float = 0.8,
) -> tuple[NDArray[np.int32], list[Segment]]:
    """Merge queries into a panoptic map, as Mask2Former's ``panoptic_inference`` does.

    Args:
        logits: Class logits before softmax, (Q, K+1), float32 or float16.
        masks: Mask logits before sigmoid, (Q, h, w), (h, w) a quarter of ``padded_size``, float32 or float16.
        padded_size: The size of the model's input, (height, width).
        image_size: The size of the image within it.
        output_size: The size of the result.
        things: The ids of the classes whose instances are counted apart.
        score_threshold: The least class probability of a segment, 0 to 1.
        overlap_threshold: The least visible share of a segment's mask, 0 to 1.

    Returns:
        The map of segment ids, int32 ``output_size``, 0 where there is none; and the segments, their ``label`` empty.

    Raises:
        ValueError: If shapes or sizes do not fit together, or a value is not finite.
    """
    geometry = Geometry(padded_size, image_size, output_size)
    return merge(logits, masks, geometry, things, Thresholds(score_threshold, overlap_threshold))


def merge(
    logits: NDArray[np.floating],
    masks: NDArray[np.floating],
    geometry: Geometry,
    things: Collection[int],
    thresholds: Thresholds,
) -> tuple[NDArray[np.int32], list[Segment]]:
    """Merge queries as `panoptic` does, given the geometry and the thresholds."""
    check(logits, masks, geometry)
    taking_part = candidates(logits, thresholds.score)
    if not len(taking_part.queries):
        return np.zeros(geometry.output_size, np.int32), []
    return conclude(_assignment(masks, taking_part, geometry), taking_part, things, thresholds.overlap)


def merging() -> Literal["compiled", "numpy"]:
    """Return which form of the merge is used here; they give the same results, but for ties that rounding decides.

    It is the compiled one where it was built and loads. The variable PEM_EDGE_MERGE demands one: "compiled" or
    "numpy". Raises PemError if it names another, or demands what there is not.
    """
    return "compiled" if _compiled() else "numpy"


def _assignment(masks: NDArray[np.floating], among: Candidates, geometry: Geometry) -> PixelAssignment:
    functions = _compiled()
    if functions:
        return CompiledAssignment(masks, among.queries, among.scores, geometry, functions)
    return NumpyAssignment(masks, among.queries, among.scores, geometry)


def _compiled() -> library.Functions | None:
    demanded = os.environ.get(OVERRIDE, "")
    if demanded not in ("", "compiled", "numpy"):
        raise PemError(f'{OVERRIDE} is "{demanded}", expected compiled or numpy: correct or unset it')
    functions = None if demanded == "numpy" else library.load()
    if demanded == "compiled" and functions is None:
        raise PemError(f"{OVERRIDE} is compiled, but no compiled merge is here: run {library.BUILD_COMMAND}")
    return functions
