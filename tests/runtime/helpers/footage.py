"""Moving pictures whose frames can be told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.results.video_file import VideoFile
from pem_edge.runtime.sources import Footage, Frame

COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))


def image(index: int, height: int = 64, width: int = 96) -> NDArray[np.uint8]:
    """Return one of `COLORS` in turn, RGB uint8 (height, width, 3)."""
    return np.full((height, width, 3), COLORS[index % len(COLORS)], np.uint8)


def write_video(path: Path, frames: int, codec: str = "mp4v", fps: float = 10, noise: bool = False) -> Path:
    """``noise`` makes every frame costly to store, and damage to the file hit few of them."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (96, 64))
    for index in range(frames):
        grain = np.random.default_rng(index).integers(0, 256, (64, 96, 3), dtype=np.uint8)
        writer.write(grain if noise else np.ascontiguousarray(image(index)[..., ::-1]))
    writer.release()
    return path


class Made(Footage):
    """Frames made as they are asked for: ``make(index)`` gives each, and None at the end."""

    name, stem = "made", "made"

    def __init__(
        self,
        make: Callable[[int], NDArray[np.uint8] | InputError | None],
        live: bool = False,
        timeout: float | None = None,
    ) -> None:
        self._make, self.live, self.timeout = make, live, timeout
        self.asked = 0
        self.ended = False

    def __iter__(self) -> Iterator[Frame]:
        try:
            while (made := self._make(self.asked)) is not None:
                self.asked += 1
                yield Frame(f"{self.asked - 1:06d}", partial(_given, made))
        finally:
            self.ended = True


def _given(made: NDArray[np.uint8] | InputError) -> NDArray[np.uint8]:
    if isinstance(made, InputError):
        raise made
    return made


def noisy_image(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (240, 320, 3), dtype=np.uint8)


def write_noise(file: VideoFile, frames: int) -> None:
    for index in range(frames):
        file.write(noisy_image(index))
