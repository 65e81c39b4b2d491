"""A balanced pick of images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pem_edge.calibration.images.inspection import Looks


def pick(looks: Sequence[Looks], count: int) -> list[Looks]:
    """Return ``count`` of the images, or all there are; the same ones each time.

    With labels, each next image is the one whose classes were seen least so far; without, images are spread evenly from
    dark to bright.
    """
    if count >= len(looks):
        return list(looks)
    if any(each.classes for each in looks):
        return _covering(looks, count)
    ordered = sorted(looks, key=lambda each: (each.brightness, each.digest))
    return [ordered[(2 * number + 1) * len(ordered) // (2 * count)] for number in range(count)]


def _covering(looks: Sequence[Looks], count: int) -> list[Looks]:
    left, picked = list(looks), []
    seen: Counter[int] = Counter()
    for _ in range(count):
        best = max(left, key=lambda each: sum(1 / (1 + seen[name]) ** 2 for name in each.classes or ()))
        left.remove(best)
        picked.append(best)
        seen.update(best.classes or ())
    return picked
