"""What every source gives, and what the sources of moving pictures have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

USUAL_FPS = 25.0  # where a source does not say


@dataclass(frozen=True)
class Frame:
    """One image of a source.

    Attributes:
        name: The path of a picture, or the number of a frame ("000000" and up).
        read: Returns RGB uint8 (H, W, 3), or raises InputError.
        milliseconds: The time that was spent decoding it before that.
    """

    name: str
    read: Callable[[], NDArray[np.uint8]]
    milliseconds: float = 0.0


class Footage(ABC):
    """Frames in the order of time. Going through them raises InputError if they end before they should.

    ``name`` is for messages, without what is secret in an address; ``stem`` starts the names of outputs. ``length`` is
    the number of frames, None if there is no knowing. Of a ``live`` source only the newest frame matters to those who
    are late. ``timeout`` is how many seconds it may give nothing, None where waiting for it is right.
    """

    name: str
    stem: str
    fps: float = USUAL_FPS
    length: int | None = None
    live: bool = False
    timeout: float | None = None

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...


def frame_name(index: int) -> str:
    """Return the name of a frame, by its number from 0."""
    return f"{index:06d}"


def counted(frames: int) -> str:
    """Return the number of frames in words."""
    return f"{frames} frame{'' if frames == 1 else 's'}"
