"""Runs the demo model with one backend; this module is run in a process of its own, as a backend may crash."""

from __future__ import annotations

import base64
import statistics
import time
import zlib
from typing import TYPE_CHECKING

import msgspec

from pem_edge.runtime.datasets.dataset import Sample
from pem_edge.runtime.diagnosis import asking
from pem_edge.runtime.diagnosis.schema import Device

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SECONDS = 90.0
_SEED, _RUNS = 7, 5


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came out.

    Attributes:
        device: What the model ran on.
        milliseconds: The median time per image.
        correct: The fraction of pixels whose class is that of the truth.
        classes: The class of each pixel, a byte each, compressed by zlib, in Base64.
    """

    device: Device
    milliseconds: float
    correct: float
    classes: str

    def agreement(self, other: Outcome) -> float:
        """Return the fraction of pixels that have the same class in both."""
        mine, others = (zlib.decompress(base64.b64decode(each.classes)) for each in (self, other))
        return sum(map(int.__eq__, mine, others)) / max(len(mine), len(others))


def try_backend(backend: str) -> asking.Answer[Outcome]:
    """Return what came of running the demo model with ``backend``."""
    return asking.ask(__name__, backend, Outcome, _SECONDS)


def _run(backend: str) -> Outcome:
    """Segment a picture whose truth is known, some times. NumPy is imported here only, as it may be broken."""
    from pem_edge.runtime.datasets.toy_streets import ToyStreets
    from pem_edge.runtime.loading import load

    sample = ToyStreets(1, seed=_SEED)[0]
    with load("demo", backend) as segmenter:
        segmenter(sample.image)
        milliseconds = []
        for _ in range(_RUNS):
            start = time.perf_counter()
            result = segmenter(sample.image)
            milliseconds.append(1000 * (time.perf_counter() - start))
        device = segmenter.backend.device
    classes = result.semantic.astype("uint8")
    return Outcome(
        device=device,
        milliseconds=statistics.median(milliseconds),
        correct=float((classes == _true_classes(sample)).mean()),
        classes=base64.b64encode(zlib.compress(classes.tobytes())).decode(),
    )


def _true_classes(sample: Sample) -> NDArray[np.uint8]:
    """Return the class of each pixel, uint8 (H, W)."""
    import numpy as np

    table = np.zeros(1 + max(segment.id for segment in sample.segments), np.uint8)
    for segment in sample.segments:
        table[segment.id] = segment.category_id
    return table[sample.panoptic]


if __name__ == "__main__":
    asking.answer(_run)
