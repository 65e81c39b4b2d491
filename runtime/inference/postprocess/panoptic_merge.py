"""The panoptic merge of Mask2Former: turns a model's outputs into a panoptic map."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.manifest import Thresholds
from pem_edge.runtime.errors import PemError
from pem_edge.runtime.inference.postprocess.acceptance import (
    Candidates,
    PixelAssignment,
    build_segments,
    select_candidates,
)
from pem_edge.runtime.inference.postprocess.classes import check
from pem_edge.runtime.inference.postprocess.compiled_assignment import CompiledAssignment
from pem_edge.runtime.inference.postprocess.native import library
from pem_edge.runtime.inference.postprocess.numpy_assignment import NumpyAssignment
from pem_edge.runtime.results.segments import Segment

OVERRIDE = "PEM_EDGE_MERGE"
"""Environment variable that chooses the implementation of the merge: "compiled" or "numpy"."""


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

    Example:
        >>> import pem_edge
        >>> from pem_edge.runtime import labels, postprocess
        >>> result = pem_edge.load("demo")("demo:street")
        >>> logits, masks = result.outputs()
        >>> sizes = {"padded_size": (256, 512), "image_size": (256, 512), "output_size": (512, 1024)}
        >>> panoptic, segments = postprocess.panoptic(logits, masks, **sizes, things=labels.things(result.labels))
        >>> panoptic.shape
        (512, 1024)

    Args:
        logits: Class logits before softmax, (Q, K+1), float32 or float16.
        masks: Mask logits before sigmoid, (Q, h, w), (h, w) a quarter of ``padded_size``, float32 or float16.
        padded_size: The size of the model's input, (height, width).
        image_size: The size of the image within it.
        output_size: The size of the map returned.
        things: The ids of the classes whose instances are separate segments.
        score_threshold: The minimum class probability of a segment, 0 to 1.
        overlap_threshold: The minimum visible fraction of a segment's mask, 0 to 1.

    Returns:
        The segment map, int32 of ``output_size``, with the id of the segment at each pixel or 0 for none; and the
        segments, whose ``label`` is empty.

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
    """Merge queries into a panoptic map as `panoptic` does, given the geometry and the thresholds."""
    check(logits, masks, geometry)
    candidates = select_candidates(logits, thresholds.score)
    if not len(candidates.queries):
        return np.zeros(geometry.output_size, np.int32), []
    return build_segments(_assign_pixels(masks, candidates, geometry), candidates, things, thresholds.overlap)


def merging() -> Literal["compiled", "numpy"]:
    """Return the name of the implementation that merges in this process.

    Example:
        >>> from pem_edge.runtime import postprocess
        >>> postprocess.merging() in ("compiled", "numpy")
        True

    The compiled implementation is used if it was built and can be loaded, unless the environment variable
    PEM_EDGE_MERGE chooses one: "compiled" or "numpy". Both give the same results, except where rounding decides a tie.

    Raises:
        PemError: If PEM_EDGE_MERGE has another value, or chooses the compiled implementation and it is not available.
    """
    return "compiled" if _load_compiled() else "numpy"


def _assign_pixels(masks: NDArray[np.floating], candidates: Candidates, geometry: Geometry) -> PixelAssignment:
    functions = _load_compiled()
    if functions:
        return CompiledAssignment(masks, candidates.queries, candidates.scores, geometry, functions)
    return NumpyAssignment(masks, candidates.queries, candidates.scores, geometry)


def _load_compiled() -> library.Functions | None:
    """Return the functions of the compiled implementation, or None if NumPy is to merge."""
    demanded = os.environ.get(OVERRIDE, "")
    if demanded not in ("", "compiled", "numpy"):
        raise PemError(f'{OVERRIDE} is "{demanded}", expected compiled or numpy: correct or unset it')
    functions = None if demanded == "numpy" else library.load()
    if demanded == "compiled" and functions is None:
        raise PemError(f"{OVERRIDE} is compiled, but no compiled merge is here: run {library.BUILD_COMMAND}")
    return functions
