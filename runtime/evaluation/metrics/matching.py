"""Which predicted segment is which true one, as COCO's panoptic API decides it.

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
    """A segment of a panoptic map: its value there (1 and up) and its class index."""

    @property
    def id(self) -> int:
        """The value in the map, 1 and up."""

    @property
    def category_id(self) -> int:
        """The class index."""


@dataclass(frozen=True)
class Matching:
    """T true segments against P predicted ones.

    ``matched`` (T, P) says which pairs are the same, at most one in a row or column, and ``iou`` (T, P) how well they
    fit, 0 to 1, the truth's void left out. ``missed`` (T,) are the true segments without a match, but for crowds;
    ``spurious`` (P,) the predicted ones without, but for those that lie mostly on void and on a crowd of their class.
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
    """Match the segments of two panoptic maps (H, W), 0 is void.

    Raises ValueError for maps of different shapes, ids listed twice or not at all, predicted segments without pixels.
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

    crowds = list({c: row for row, c in enumerate(true_classes.tolist()) if crowd[row]}.values())  # the last of a class
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
    """Return common pixels (T + 1, P + 1) of each true and predicted segment; row and column 0 are void."""
    if pred.shape != true.shape:
        raise ValueError(f"the prediction is {pred.shape}, the truth {true.shape}: expected the same shape")
    codes, areas = _counts((true.astype(np.int64) << 32) + pred.astype(np.int64))
    overlap = np.zeros((len(true_segments) + 1, len(pred_segments) + 1), np.int64)
    overlap[positions(codes >> 32, true_segments), positions(codes & 0xFFFFFFFF, pred_segments)] = areas
    return overlap


def _counts(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct values and how often each occurs; long runs of equal values are counted first."""
    flat = values.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=flat[:1] - 1))
    distinct, which = np.unique(flat[starts], return_inverse=True)
    lengths = np.diff(starts, append=flat.size)
    return distinct, np.bincount(which, lengths, len(distinct)).astype(np.int64)


def positions(ids: NDArray[np.integer], segments: Sequence[Region]) -> NDArray[np.intp]:
    """Return which segment each id is, of the same shape: 1 is the first, 0 is void.

    Raises ValueError for ids that no segment has, and segments of the same id.
    """
    listed = np.array([0, *(segment.id for segment in segments)])
    order = np.argsort(listed)
    if not np.diff(listed[order]).all():
        raise ValueError(f"ids of segments must be distinct and not 0, which is void: {listed[1:].tolist()}")
    ranks = np.searchsorted(listed, ids, sorter=order).clip(max=len(segments))
    unlisted = ids[listed[order][ranks] != ids]
    if unlisted.size:
        raise ValueError(f"the map has the id {unlisted[0]}, which none of its {len(segments)} segments has")
    found: NDArray[np.intp] = order[ranks]
    return found


def classes_of(segments: Sequence[Region]) -> NDArray[np.int64]:
    """Return the class index of each segment."""
    return np.array([segment.category_id for segment in segments], np.int64)
