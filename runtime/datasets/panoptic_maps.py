"""Reading panoptic maps, whose pixels are segment ids."""

from __future__ import annotations

from collections.abc import Iterator, Set
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from pem_edge.runtime.datasets import map_files
from pem_edge.runtime.datasets.id_runs import Runs
from pem_edge.runtime.datasets.map_files import COLORS, Map, MapKind
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.results import coco_format

_KIND = MapKind("a panoptic map, an RGB PNG of 8 bits", "write id = R + 256 G + 65536 B")


def read(path: Path, size: tuple[int, int], listed: Set[int], annotations: Path) -> Map:
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
    return map_files.read(path, size, _KIND, partial(_choose, listed=listed, path=path, annotations=annotations))


def _choose(image: Image.Image, depth: int, listed: Set[int], path: Path, annotations: Path) -> Map:
    """Return the reading that has only ids that are listed, and the most of them; the first of several."""
    readings = list(_readings(image, depth))
    ids = [set(Runs(each).ids.tolist()) - {0} for each in readings]
    fitting = [index for index, found in enumerate(ids) if found <= listed]
    if fitting:
        return readings[max(fitting, key=lambda index: len(ids[index]))]
    stranger = min(ids[-1] - listed)
    if image.mode in COLORS:
        color = tuple(coco_format.encode(np.array([stranger]))[0].tolist())
        what, cure = f"the color {color}, id {stranger}", "list it there, or make it black, which is void"
    else:
        what, cure = f"the value {stranger}", "its colors are no ids, either; write id = R + 256 G + 65536 B as RGB"
    raise InputError(f"{path} has {what}, which is none of its {len(listed)} segments in {annotations}: {cure}")


def _readings(image: Image.Image, depth: int) -> Iterator[Map]:
    """Yield the ids that the colors of a map are, if it has any, and those that its values are."""
    if not image.mode.startswith("I") and not _lacks_colors(image):
        yield coco_format.decode(np.asarray(image.convert("RGB")))
    if image.mode not in COLORS:
        yield map_files.values(image, depth)


def _lacks_colors(image: Image.Image) -> bool:
    """Return whether a palette is shorter than the values; Pillow would take black for the colors that it lacks."""
    return image.palette is not None and 3 * int(np.asarray(image).max()) >= len(image.palette.palette)
