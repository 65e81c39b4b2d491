"""Matching predicted segments with true segments as COCO's panoptic API does.

Source: https://github.com/cocodataset/panopticapi, panopticapi/evaluation.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.datasets.dataset import TrueSegment


class Region(Protocol):
    """A segment of a panoptic map, predicted or true."""

    @property
    def id(self) -> int:
        """The value of its pixels in the map, 1 and up."""

    @property
    def category_id(self) -> int:
        """The index of its class, 0 to K-1."""


@dataclass(frozen=True)
class Matching:
    """The matches of T true and P predicted segments.

    Attributes:
        matched: Whether each pair matches, (T, P); at most one pair per row and per column does.
        iou: The intersection over union of each pair outside the truth's void, (T, P), 0 to 1.
        missed: Whether each true segment is a false negative, (T,). Crowds never are.
        spurious: Whether each predicted segment is a false positive, (P,). A segment without a match that lies mostly
            on void or on a crowd of its class is none.
    """

    matched: NDArray[np.bool_]
    iou: NDArray[np.float64]
    missed: NDArray[np.bool_]
    spurious: NDArray[np.bool_]


def match(
    pred: NDArray[np.integer],
    pred_segments: Sequence[Region],
    true: NDArray[np.integer],
    true_segments: Sequence[TrueSegment],
) -> Matching:
    """Match the segments of two panoptic maps.

    Args:
        pred: The predicted map of segment ids, (H, W); 0 is void.
        pred_segments: The segments of ``pred``.
        true: The true map of segment ids, (H, W); 0 is void.
        true_segments: The segments of ``true``, which may have no pixels.

    Raises:
        ValueError: If the shapes differ, a segment id is missing or given twice, or a predicted segment has no pixels.
    """
    overlap = _overlap(pred, pred_segments, true, true_segments)
    on_void, pred_area = overlap[0, 1:], overlap[:, 1:].sum(0)
    if not pred_area.all():
        raise ValueError(f"predicted segment {pred_segments[int(pred_area.argmin())].id} has no pixels in the map")
    true_area, overlap = overlap[1:].sum(1), overlap[1:, 1:]

    crowd = np.array([segment.iscrowd for segment in true_segments], bool)
    true_classes, pred_classes = classes_of(true_segments), classes_of(pred_segments)
    same_class = true_classes[:, None] == pred_classes
    union = true_area[:, None] + pred_area - overlap - on_void
    matched = same_class & ~crowd[:, None] & (2 * overlap > union)

    crowds = list(
        {c: row for row, c in enumerate(true_classes.tolist()) if crowd[row]}.values()
    )  # as in the API, the last crowd of a class counts
    excused = on_void + (overlap * same_class)[crowds].sum(0)
    return Matching(
        matched,
        overlap / np.maximum(union, 1),
        missed=~crowd & ~matched.any(1),
        spurious=~matched.any(0) & (2 * excused <= pred_area),
    )


def _overlap(
    pred: NDArray[np.integer],
    pred_segments: Sequence[Region],
    true: NDArray[np.integer],
    true_segments: Sequence[Region],
) -> NDArray[np.int64]:
    """Return the number of common pixels of each true and predicted segment, (T + 1, P + 1); index 0 is void."""
    if pred.shape != true.shape:
        raise ValueError(f"the prediction is {pred.shape}, the truth {true.shape}: expected the same shape")
    codes, areas = _count_values((true.astype(np.int64) << 32) + pred.astype(np.int64))
    overlap = np.zeros((len(true_segments) + 1, len(pred_segments) + 1), np.int64)
    true_numbers = segment_numbers(codes >> 32, true_segments)
    pred_numbers = segment_numbers(codes & 0xFFFFFFFF, pred_segments)
    overlap[true_numbers, pred_numbers] = areas
    return overlap


def _count_values(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct values and the number of times that each occurs."""
    flat = values.ravel()  # equal values come in long runs: sorting one value per run is much faster
    starts = np.flatnonzero(np.diff(flat, prepend=flat[:1] - 1))
    distinct, which = np.unique(flat[starts], return_inverse=True)
    lengths = np.diff(starts, append=flat.size)
    return distinct, np.bincount(which, lengths, len(distinct)).astype(np.int64)


def segment_numbers(ids: NDArray[np.integer], segments: Sequence[Region]) -> NDArray[np.intp]:
    """Return the number of the segment that has each id.

    Args:
        ids: Segment ids, of any shape; 0 is void.
        segments: The segments.

    Returns:
        The numbers, of the shape of ``ids``: 1 for the first segment, 0 for void.

    Raises:
        ValueError: If no segment has an id, or if two segments have the same.
    """
    listed = np.array([0, *(segment.id for segment in segments)])
    order = np.argsort(listed)
    if not np.diff(listed[order]).all():
        raise ValueError(f"ids of segments must be distinct and not 0, which is void: {listed[1:].tolist()}")
    ranks = np.searchsorted(listed, ids, sorter=order).clip(max=len(segments))
    unlisted = ids[listed[order][ranks] != ids]
    if unlisted.size:
        raise ValueError(f"the map has the id {unlisted[0]}, which none of its {len(segments)} segments has")
    numbers: NDArray[np.intp] = order[ranks]
    return numbers


def classes_of(segments: Sequence[Region]) -> NDArray[np.int64]:
    """Return the class index of each segment, (N,)."""
    return np.array([segment.category_id for segment in segments], np.int64)
