"""A frame, which every source yields, and the base class of videos, cameras and streams."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.plurals import plural

DEFAULT_FPS = 25.0
"""Frames per second of a source that does not state its rate."""


@dataclass(frozen=True)
class Frame:
    """One image of a source.

    Attributes:
        name: The path of an image file, or the number of a video's frame ("000000" and up).
        read: Returns the image, RGB uint8 (H, W, 3), or raises InputError.
        milliseconds: The time that was spent on decoding before ``read`` is called.
        time: When the frame is to be shown, in seconds since any moment; None if the source does not say.
    """

    name: str
    read: Callable[[], NDArray[np.uint8]]
    milliseconds: float = 0.0
    time: float | None = None


class Footage(ABC):
    """A source of frames in the order of time. Iterating raises InputError if the frames end too early.

    Attributes:
        name: The name for messages, without the password of an address.
        stem: The beginning of the names of outputs.
        fps: The frames per second.
        length: The number of frames, or None if it is unknown.
        live: Whether a reader that falls behind should skip to the newest frame.
        recorded: Whether all frames are there already, as in a file, so that only the rate counts; those of another
            program come as it makes them. Ignored for live sources.
        timeout: The maximum seconds to wait for a frame, or None for no limit.
        left_out: The number of files that were left out, as they are results of this package.
    """

    name: str
    stem: str
    fps: float = DEFAULT_FPS
    length: int | None = None
    live: bool = False
    recorded: bool = True
    timeout: float | None = None
    left_out: int = 0

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...


def frame_name(index: int) -> str:
    """Return the name of the frame ``index``, which counts from 0."""
    return f"{index:06d}"


def format_count(frames: int) -> str:
    """Return a number of frames for a message, such as "1 frame" or "2 frames"."""
    return plural(frames, "frame")
