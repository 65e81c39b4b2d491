"""A tiny labeled dataset: red boxes and blue bars on green ground."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import numpy as np

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.dataset import Sample, TrueSegment

LABELS = (
    Label(0, "ground", False, (0, 100, 0)),
    Label(1, "box", True, (200, 0, 0)),
    Label(2, "bar", True, (0, 0, 200)),
)
_SHAPES = ((14, 14), (8, 28))
_COLORS = ((200, 40, 40), (40, 40, 200))


class Boxes:
    """``count`` pictures of 64x64, two shapes in each; reading past ``interrupt_after`` of them presses Ctrl-C."""

    def __init__(self, count: int = 16, labels: Sequence[Label] = LABELS, interrupt_after: int | None = None) -> None:
        self.labels = labels
        self._count, self._left = count, interrupt_after

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGINT)
        random = np.random.default_rng(index)
        image = np.full((64, 64, 3), (60, 120, 60), np.uint8)
        panoptic, segments = np.ones((64, 64), np.int32), [TrueSegment(1, 0)]
        for number in range(2):
            kind = int(random.integers(2))
            height, width = _SHAPES[kind]
            y, x = random.integers(64 - height), random.integers(64 - width)
            image[y : y + height, x : x + width] = _COLORS[kind]
            panoptic[y : y + height, x : x + width] = number + 2
            segments.append(TrueSegment(number + 2, kind + 1))
        noise = random.integers(-20, 20, image.shape)
        return Sample(f"boxes {index}", np.clip(image + noise, 0, 255).astype(np.uint8), panoptic, segments)
