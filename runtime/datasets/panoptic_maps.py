"""Reading panoptic maps: PNGs whose pixels are segment ids, not photographs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Set
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pem_edge.runtime import images
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside.reading import read_bytes, reading
from pem_edge.runtime.results import coco_format

_EXPECTED = "a panoptic map, an RGB PNG of 8 bits"
_CURE = "write it again"
_COLORS = ("RGB", "RGBA")

_Map = NDArray[np.int32]


def read(path: Path, size: tuple[int, int], listed: Set[int], annotations: Path) -> _Map:
    """Return the segment id of every pixel, int32 (H, W); 0 is void.

    In COCO's format colors are ids. Gray PNGs, and those with a palette, may also have ids as values. Of the two ways
    to read them, that one is taken whose ids are all listed; if both are, the one that has more of the segments.

    Args:
        path: The map.
        size: The height and width of its image, which it must have, too; checked before the map is decoded.
        listed: The ids of its segments.
        annotations: The file that lists them, for messages.

    Raises:
        InputError: If the file is missing, damaged, of another format or size, or if it has an id that is not listed.
    """
    data = read_bytes(path, InputError, limit=images.MAX_BYTES, expected=_EXPECTED, cure=_CURE)
    with warnings.catch_warnings(), reading(path, InputError, expected=_EXPECTED, cure=_CURE):
        warnings.simplefilter("ignore")  # Pillow warns of large sizes and odd palettes, which are handled here
        image = images.open_bytes(data, path, expected=_EXPECTED, cure=_CURE)  # of any format, to name it
        _require_ids(image, data, path)
        if sorted(image.size) == sorted(size):
            image.load()
            with suppress(Exception):  # damaged EXIF data leaves the map as it is stored
                ImageOps.exif_transpose(image, in_place=True)
        _require_size((image.height, image.width), size, path)
        return _choose(image, _depth(data), listed, path, annotations)


def _require_ids(image: Image.Image, data: bytes, path: Path) -> None:
    """Raise InputError if the file's format changes ids, or Pillow would."""
    if image.format != "PNG":
        lossy = ", which changes colors and so ids" if image.format in ("JPEG", "WEBP") else ""
        raise InputError(f"{path} is a {image.format}{lossy}; expected {_EXPECTED}: write it from its source again")
    if _depth(data) == 16 and not image.mode.startswith("I"):
        raise InputError(f"{path} is a PNG of 16 bits a color, expected {_EXPECTED}: write id = R + 256 G + 65536 B")


def _require_size(found: tuple[int, int], expected: tuple[int, int], path: Path) -> None:
    if found != expected:
        turned = found == expected[::-1]
        cure = "turn it as the EXIF orientation of its image says" if turned else "give the map of this image"
        raise InputError(f"{path} is {_text(found)} and its image {_text(expected)}, expected the same size: {cure}")


def _choose(image: Image.Image, depth: int, listed: Set[int], path: Path, annotations: Path) -> _Map:
    """Return the reading that has only ids that are listed, and the most of them; the first of several."""
    readings = list(_readings(image, depth))
    ids = [_distinct_ids(each) - {0} for each in readings]
    fitting = [index for index, found in enumerate(ids) if found <= listed]
    if fitting:
        return readings[max(fitting, key=lambda index: len(ids[index]))]
    stranger = min(ids[-1] - listed)
    if image.mode in _COLORS:
        color = tuple(coco_format.encode(np.array([stranger]))[0].tolist())
        what, cure = f"the color {color}, id {stranger}", "list it there, or make it black, which is void"
    else:
        what, cure = f"the value {stranger}", "its colors are no ids, either; write id = R + 256 G + 65536 B as RGB"
    raise InputError(f"{path} has {what}, which is none of its {len(listed)} segments in {annotations}: {cure}")


def _readings(image: Image.Image, depth: int) -> Iterator[_Map]:
    """Yield the ids that the colors of a map are, if it has any, and those that its values are."""
    if not image.mode.startswith("I") and not _lacks_colors(image):
        yield coco_format.decode(np.asarray(image.convert("RGB")))
    if image.mode not in _COLORS:
        values = np.asarray(image).reshape(image.height, image.width, -1)[..., 0].astype(np.int32)
        scale = 255 // ((1 << depth) - 1) if image.mode == "L" else 1  # Pillow scales gray of 2 and 4 bits to 255
        yield values // scale


def _lacks_colors(image: Image.Image) -> bool:
    """Return whether a palette is shorter than the values; Pillow would take black for the colors that it lacks."""
    return image.palette is not None and 3 * int(np.asarray(image).max()) >= len(image.palette.palette)


def _distinct_ids(panoptic: _Map) -> set[int]:
    """Return the distinct ids of a map."""
    flat = panoptic.ravel()  # equal ids come in long runs, so only the first of each run is looked at
    starts = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    return set(np.unique(np.append(flat[starts], flat[:1])).tolist())


def _depth(data: bytes) -> int:
    """Return the bits of a PNG's channels, which its header has after 24 bytes."""
    return data[24]


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
