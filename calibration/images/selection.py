"""Selects a balanced set of calibration images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pem_edge.calibration.images.inspection import ImageSummary


def pick(summaries: Sequence[ImageSummary], count: int) -> list[ImageSummary]:
    """Pick ``count`` images, or all if there are fewer. The result depends only on the images.

    With labels, it adds one image at a time, whichever contains the classes that are rarest among the images picked so
    far. Without labels, it spreads the images evenly from dark to bright.

    Args:
        summaries: The images to pick from.
        count: The number of images to pick, 1 or more.
    """
    if count >= len(summaries):
        return list(summaries)
    if any(each.classes for each in summaries):
        return _balance_classes(summaries, count)
    ordered = sorted(summaries, key=lambda each: (each.brightness, each.digest))
    return [ordered[(2 * number + 1) * len(ordered) // (2 * count)] for number in range(count)]


def _balance_classes(summaries: Sequence[ImageSummary], count: int) -> list[ImageSummary]:
    """Pick images that contain each class about equally often."""
    left, picked = list(summaries), []
    seen: Counter[int] = Counter()
    for _ in range(count):
        best = max(left, key=lambda each: sum(1 / (1 + seen[name]) ** 2 for name in each.classes or ()))
        left.remove(best)
        picked.append(best)
        seen.update(best.classes or ())
    return picked
