"""Takes a contestant's answers for the picture, and compares two of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Answer(NamedTuple):
    """Class logits (Q, K+1), mask logits (Q, h, w), and the segment map (H, W), of which 0 is void."""

    logits: NDArray[np.floating]
    masks: NDArray[np.floating]
    map: NDArray[np.integer]

    def merged(self, threshold: float = 0.8) -> int:
        """Return how many masks take part in the merge."""
        powers = np.exp(self.logits - self.logits.max(1, keepdims=True))
        probabilities = powers[:, :-1].max(1) / powers.sum(1)
        return int(np.count_nonzero(probabilities > threshold))

    def write(self, path: Path) -> None:
        np.savez(path, **self._asdict())

    @classmethod
    def read(cls, path: Path) -> Answer:
        with np.load(path) as arrays:
            return cls(**arrays)


class Distance(NamedTuple):
    """The differences between two answers.

    Attributes:
        logits: The largest difference of class logits.
        masks: The largest difference of mask logits.
        pixels: The share of all pixels whose segments agree.
        segments: That share of the pixels that are in a segment of either map; not a number if there are none.
    """

    logits: float
    masks: float
    pixels: float
    segments: float


def distance(one: Answer, other: Answer) -> Distance:
    logits, masks = (float(np.abs(a - b).max()) for a, b in ((one.logits, other.logits), (one.masks, other.masks)))
    seen = (one.map > 0) | (other.map > 0)
    segments = agreement(one.map[seen], other.map[seen]) if seen.any() else math.nan
    return Distance(logits, masks, agreement(one.map, other.map), segments)


def agreement(one: NDArray[np.integer], other: NDArray[np.integer]) -> float:
    """Return the share of pixels whose segment in either map is the one that overlaps most with that in the other.

    Numbers of segments do not matter: one segment more changes all that follow.
    """
    sides = int(one.max()) + 1, int(other.max()) + 1
    overlaps = np.bincount((one.astype(np.int64) * sides[1] + other).ravel(), minlength=sides[0] * sides[1])
    overlaps = overlaps.reshape(sides)
    partners = overlaps.argmax(1)
    mutual = overlaps.argmax(0)[partners] == np.arange(sides[0])
    return float(overlaps.max(1)[mutual].sum() / one.size)
