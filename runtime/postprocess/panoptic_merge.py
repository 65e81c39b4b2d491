"""The published merge of query masks into a panoptic map."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from runtime.postprocess.acceptance import candidates, conclude
from runtime.postprocess.classes import check
from runtime.postprocess.geometry import Geometry
from runtime.postprocess.numpy_contest import NumpyContest
from runtime.result import Segment


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
    """Merge queries into a map of segment ids, int32 ``output_size``, 0 where there is none, and those segments.

    ``logits`` (Q, K+1) and ``masks`` (Q, h, w) are float32 or float16, before softmax and sigmoid, with (h, w) a
    quarter of ``padded_size``; ``things`` are the class ids whose instances are counted apart, thresholds are 0 to 1.
    The segments' ``label`` is left empty. The steps are those of Mask2Former's ``panoptic_inference``.
    Raises ValueError for shapes or sizes that do not fit together, and for values that are not finite.
    """
    geometry = Geometry(padded_size, image_size, output_size)
    check(logits, masks, geometry)
    taking_part = candidates(logits, score_threshold)
    if not len(taking_part.queries):
        return np.zeros(output_size, np.int32), []
    contest = NumpyContest(masks, taking_part.queries, taking_part.scores, geometry)
    return conclude(contest, taking_part, things, overlap_threshold)
