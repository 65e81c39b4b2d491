"""Images as a source."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from pem_edge.runtime import images
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.images import Image
from pem_edge.runtime.outside.reading import reading
from pem_edge.runtime.plurals import plural
from pem_edge.runtime.sources.frame import Frame, frame_name
from pem_edge.runtime.sources.names import unique_stems


class Pictures:
    """Images, each read when its frame is read.

    Args:
        given: The images: files, and whatever else `images.convert` takes.

    Attributes:
        paths: The files among them.
        name: The file or the number of images, for messages.
        length: The number of images.
        stems: The beginning of the names of each frame's outputs, by the frame's name; no two are equal. See
            `names.unique_stems`.
    """

    live = False
    timeout = None  # a slow disk is no reason to give up

    def __init__(self, given: Sequence[Image]) -> None:
        self._given = [Path(each) if isinstance(each, (str, os.PathLike)) else each for each in given]
        self._names = [str(each) if isinstance(each, Path) else frame_name(i) for i, each in enumerate(self._given)]
        self.paths = [each for each in self._given if isinstance(each, Path)]
        self.name = self._names[0] if len(given) == len(self.paths) == 1 else plural(len(given), "image")
        self.length = len(given)
        distinct = list(dict.fromkeys(self._names))
        self.stems = dict(zip(distinct, unique_stems([Path(name) for name in distinct]), strict=True))

    def __iter__(self) -> Iterator[Frame]:
        for name, image in zip(self._names, self._given, strict=True):
            yield Frame(name, partial(images.convert, image))


def pictures_in(folder: Path) -> list[Path]:
    """Return the image files of a folder, sorted by name. Raises InputError if there are none.

    Files that cannot be read, such as broken links, are among them, so that they are reported one by one.
    """
    with reading(folder, InputError, expected="a folder of images", cure="give one that can be read"):
        files = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
        paths = [entry for entry in files if entry.suffix.lower() in images.SUFFIXES and not _is_folder(entry)]
    if not paths:
        raise InputError(f"{folder} has no images in it: expected files ending in {' '.join(sorted(images.SUFFIXES))}")
    return paths


def _is_folder(path: Path) -> bool:
    with suppress(OSError):
        return path.is_dir()
    return False
