"""Pictures and videos as one source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NoReturn

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.plurals import plural
from pem_edge.runtime.sources.files.pictures import Pictures
from pem_edge.runtime.sources.files.video import Video
from pem_edge.runtime.sources.frame import Frame

Part = Pictures | Video


class Several:
    """Pictures and videos, one after another. A video that cannot be read to its end costs only what it lacks.

    The name of a video's frame is the video's name and the frame's number, such as ``clips/drive.mp4/000012``.

    Args:
        parts: The pictures and videos. No two have outputs of the same name.

    Attributes:
        parts: As given.
        name: The numbers of images and videos, for messages.
        length: None, as videos are only opened in their turn.
        left_out: The number of files that were left out, as they are results of this package.
    """

    live, recorded = False, True
    timeout = None  # a slow disk is no reason to give up
    length = None

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self._videos = {part.name: part for part in parts if isinstance(part, Video)}
        self._pictures = {name: part for part in parts if isinstance(part, Pictures) for name in part.stems}
        kinds = (plural(len(self._pictures), "image"), plural(len(self._videos), "video"))
        self.name = " and ".join(kind for kind in kinds if not kind.startswith("0 "))
        self.left_out = 0

    def __iter__(self) -> Iterator[Frame]:
        for part in self.parts:
            yield from _frames(part) if isinstance(part, Video) else part

    def locate(self, name: str) -> tuple[Part, str]:
        """Return the part that a frame of this source is of, and its name there."""
        if (pictures := self._pictures.get(name)) is not None:
            return pictures, name
        video, _, number = name.rpartition("/")
        return self._videos[video], number


def _frames(video: Video) -> Iterator[Frame]:
    try:
        for frame in video:
            yield replace(frame, name=f"{video.name}/{frame.name}")
    except InputError as error:
        yield Frame(video.name, partial(_raise, error))


def _raise(error: InputError) -> NoReturn:
    raise error
