"""Opening maps: PNGs whose pixels are numbers, not photographs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pem_edge.runtime import images
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside.reading import read_bytes, reading

Map: TypeAlias = NDArray[np.int32]
"""A number for every pixel, int32 (H, W)."""

COLORS = ("RGB", "RGBA")
"""Pillow's modes of maps that have colors and no values."""

_CURE = "write it again"


@dataclass(frozen=True)
class MapKind:
    """A kind of maps, in the words of messages.

    Attributes:
        expected: What a map should be, such as "a panoptic map, an RGB PNG of 8 bits".
        shallow: How to write one whose colors have 16 bits.
    """

    expected: str
    shallow: str


def read(path: Path, size: tuple[int, int], kind: MapKind, interpret: Callable[[Image.Image, int], Map]) -> Map:
    """Return what ``interpret`` makes of a map, turned as its EXIF orientation says.

    Args:
        path: The map.
        size: The height and width of its image, which it must have, too; checked before the map is decoded.
        kind: What it should be.
        interpret: Takes the decoded map and the bits of its channels.

    Raises:
        InputError: If the file is missing, damaged, of another format or size; or what ``interpret`` raises.
    """
    data = read_bytes(path, InputError, limit=images.MAX_BYTES, expected=kind.expected, cure=_CURE)
    with warnings.catch_warnings(), reading(path, InputError, expected=kind.expected, cure=_CURE):
        warnings.simplefilter("ignore")  # Pillow warns of large sizes and odd palettes, which are handled here
        image = _open(data, path, kind)
        if sorted(image.size) == sorted(size):
            image.load()
            with suppress(Exception):  # damaged EXIF data leaves the map as it is stored
                ImageOps.exif_transpose(image, in_place=True)
        _require_size((image.height, image.width), size, path)
        return interpret(image, _depth(data))


def has_colors(path: Path, kind: MapKind) -> bool:
    """Return whether a map has colors and no values. Raises InputError if it is no map."""
    data = read_bytes(path, InputError, limit=images.MAX_BYTES, expected=kind.expected, cure=_CURE)
    return _open(data, path, kind).mode in COLORS


def values(image: Image.Image, depth: int) -> Map:
    """Return the values of a gray map or one with a palette, whose channels have ``depth`` bits."""
    found = np.asarray(image).reshape(image.height, image.width, -1)[..., 0].astype(np.int32)
    scale = 255 // ((1 << depth) - 1) if image.mode == "L" else 1  # Pillow scales gray of 2 and 4 bits to 255
    return found // scale


def _open(data: bytes, path: Path, kind: MapKind) -> Image.Image:
    """Open a PNG. Raises InputError if the file's format changes numbers, or Pillow would."""
    image = images.open_bytes(data, path, expected=kind.expected, cure=_CURE)  # of any format, to name it
    if image.format != "PNG":
        lossy = ", which changes colors and so ids" if image.format in ("JPEG", "WEBP") else ""
        raise InputError(f"{path} is a {image.format}{lossy}; expected {kind.expected}: write it from its source again")
    if _depth(data) == 16 and not image.mode.startswith("I"):
        raise InputError(f"{path} is a PNG of 16 bits a color, expected {kind.expected}: {kind.shallow}")
    return image


def _require_size(found: tuple[int, int], expected: tuple[int, int], path: Path) -> None:
    if found != expected:
        turned = found == expected[::-1]
        cure = "turn it as the EXIF orientation of its image says" if turned else "give the map of this image"
        raise InputError(f"{path} is {_text(found)} and its image {_text(expected)}, expected the same size: {cure}")


def _depth(data: bytes) -> int:
    """Return the bits of a PNG's channels, which its header has after 24 bytes."""
    return data[24]


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
