"""Checks the thresholds of segments that are asked for."""

from __future__ import annotations

from pem_edge.runtime.arguments import number_in
from pem_edge.runtime.artifacts.manifest import Thresholds


def choose_thresholds(defaults: Thresholds, score: float | None, overlap: float | None) -> Thresholds:
    """Replace the default thresholds by those that are given.

    Args:
        defaults: The thresholds to use where none is given.
        score: The minimum class probability of a segment, 0 to 1; None for the default.
        overlap: The minimum visible fraction of a segment's mask, 0 to 1; None for the default.

    Raises:
        ArgumentError: If a threshold is not a number, or out of range.
    """
    return Thresholds(
        score=_threshold("score_threshold", defaults.score if score is None else score),
        overlap=_threshold("overlap_threshold", defaults.overlap if overlap is None else overlap),
    )


def _threshold(name: str, value: float) -> float:
    return number_in(name, value, 0, 1, such_as=0.5, without="the default")
