"""Provides the images to segment: those of a folder, or streets generated at the artifact's size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2

from pem_edge.runtime import sources
from pem_edge.runtime.artifacts.manifest import InputSpec
from pem_edge.runtime.datasets.toy_streets import ToyStreets
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.files import temporary_folder
from pem_edge.runtime.images import read
from pem_edge.runtime.plurals import plural
from pem_edge.runtime.progress import Say
from pem_edge.runtime.sources.readable import read_readable, tell_left_out

COUNT = 8
"""Number of streets to generate, and maximum number of images to take from a folder."""

_JPEG_QUALITY = 95


class BenchmarkImages:
    """Image files for artifacts of any input size.

    Attributes:
        what: A description of the images, for reports.
    """

    def __init__(self, images: Path | None, temporary: Path, seed: int, say: Say) -> None:
        self.what = f"{COUNT} generated streets of the artifact's size, seed {seed}" if images is None else str(images)
        self._given = None if images is None else _in(images, say)
        self._temporary, self._seed = temporary, seed

    def files_for(self, spec: InputSpec) -> Sequence[Path]:
        """Return the files for an artifact with this input. Generated scenes are the same at every size."""
        return self._given or self._streets(spec.height, spec.width)

    def _streets(self, height: int, width: int) -> Sequence[Path]:
        paths = [self._temporary / f"{height}x{width}-{index}.jpg" for index in range(COUNT)]
        if not paths[-1].exists():
            streets = ToyStreets(COUNT, height, width, self._seed)
            for index, path in enumerate(paths):
                bgr = cv2.cvtColor(streets[index].image, cv2.COLOR_RGB2BGR)
                path.write_bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes())
        return paths


@contextmanager
def provide_images(images: Path | None, seed: int, say: Say) -> Iterator[BenchmarkImages]:
    """Provide the images; generated ones exist only within the block.

    Args:
        images: A folder, of which the first images that can be read are taken; None for generated streets.
        seed: The seed of generated streets.
        say: Told of images that are left out.

    Raises:
        InputError: If the folder has no images, or none that can be read.
    """
    with temporary_folder() as folder:
        yield BenchmarkImages(images, folder, seed, say)


def _in(images: Path, say: Say) -> Sequence[Path]:
    if (found := sources.find_pictures(images)) is None:
        raise InputError(f"{images} is not a folder of images: give one, or leave it out for generated streets")
    readable, errors = read_readable(found.paths, _checked, COUNT)
    for line in tell_left_out(errors):
        say(line)
        say(f"{plural(len(readable), 'image')} of {images} in use")
    return readable


def _checked(path: Path) -> Path:
    """Return a path whose image can be read."""
    read(path)
    return path
