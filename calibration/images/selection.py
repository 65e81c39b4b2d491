"""Selects a balanced set of calibration images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pem_edge.calibration.images.inspection import ImageSummary


def pick(looks: Sequence[ImageSummary], count: int) -> list[ImageSummary]:
    """Return ``count`` of the images, or all if there are fewer. The selection is deterministic.

    With labels, images are added one by one, each time the one whose classes are the rarest so far. Without labels,
    images are spread evenly from dark to bright.
    """
    if count >= len(looks):
        return list(looks)
    if any(each.classes for each in looks):
        return _covering(looks, count)
    ordered = sorted(looks, key=lambda each: (each.brightness, each.digest))
    return [ordered[(2 * number + 1) * len(ordered) // (2 * count)] for number in range(count)]


def _covering(looks: Sequence[ImageSummary], count: int) -> list[ImageSummary]:
    left, picked = list(looks), []
    seen: Counter[int] = Counter()
    for _ in range(count):
        best = max(left, key=lambda each: sum(1 / (1 + seen[name]) ** 2 for name in each.classes or ()))
        left.remove(best)
        picked.append(best)
        seen.update(best.classes or ())
    return picked
