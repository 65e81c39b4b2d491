"""Images as a source."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from pem_edge.runtime import images
from pem_edge.runtime.images import Image
from pem_edge.runtime.plurals import plural
from pem_edge.runtime.sources.frame import Frame, frame_name
from pem_edge.runtime.sources.names import unique_stems


class Pictures:
    """Images, each read when its frame is read.

    Args:
        given: The images: files, and whatever else `images.convert` takes.
        stems: The beginning of the names of outputs, by each frame's name; None to make them up, see
            `names.unique_stems`.

    Attributes:
        paths: The files among them.
        name: The file or the number of images, for messages.
        length: The number of images.
        stems: The beginning of the names of each frame's outputs, by the frame's name; no two are equal.
        left_out: The number of files that were left out, as they are results of this package.
    """

    live, recorded = False, True
    timeout = None  # a slow disk is no reason to give up

    def __init__(self, given: Sequence[Image], stems: Mapping[str, str] | None = None) -> None:
        self._given = [to_path(each) for each in given]
        self._names = frame_names(self._given)
        self.paths = [each for each in self._given if isinstance(each, Path)]
        self.name = self._names[0] if len(given) == len(self.paths) == 1 else plural(len(given), "image")
        self.length = len(given)
        self.stems = stems or unique_stems(self._names)
        self.left_out = 0

    def __iter__(self) -> Iterator[Frame]:
        for name, image in zip(self._names, self._given, strict=True):
            yield Frame(name, partial(images.convert, image))


def to_path(image: Image) -> Image:
    """Return the path of a file, if that is what ``image`` names; addresses and other images stay as they are."""
    named = isinstance(image, str) and image != images.DEMO_STREET and "://" not in image
    return Path(os.fsdecode(image)) if named or isinstance(image, os.PathLike) else image  # type: ignore[arg-type]  # see `named`


def frame_names(given: Sequence[Image]) -> list[str]:
    """Return the name of each image's frame: its path, its address without secrets, or else its number.

    Addresses that only differ in what is secret are numbered.
    """
    addresses: dict[str, list[str]] = {}
    names = []
    for index, image in enumerate(given):
        name = images.name_of(image) or frame_name(index)
        if isinstance(image, str):
            same = addresses.setdefault(name, [])
            if image not in same:
                same.append(image)
            name += f" ({same.index(image) + 1})" if same.index(image) else ""
        names.append(name)
    return names
