"""Reading label maps: PNGs whose values or colors stand for classes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from pem_edge.runtime.datasets import map_files
from pem_edge.runtime.datasets.layouts.semantic.class_table import UNKNOWN, VOID_VALUE, ClassTable
from pem_edge.runtime.datasets.map_files import COLORS, Map, MapKind
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.results import coco_format

KIND = MapKind("a label map, a PNG of class indices or of colors of 8 bits", "write 8 bits a color")


def read(path: Path, size: tuple[int, int], table: ClassTable) -> Map:
    """Return the class of every pixel, int32 (H, W); `class_table.VOID` where there is none.

    Values of a gray map or one with a palette are values of the table. Colors are those of the table; without any, the
    three channels must be equal, and are values.

    Args:
        path: The map.
        size: The height and width of its image.
        table: The classes.

    Raises:
        InputError: If the file is missing, damaged, of another format or size, or if it has what is no class.
    """
    return map_files.read(path, size, KIND, partial(_classes, table=table, path=path))


def _classes(image: Image.Image, depth: int, table: ClassTable, path: Path) -> Map:
    if image.mode not in COLORS:
        return _of_values(map_files.values(image, depth), table, path)
    pixels = np.asarray(image.convert("RGB"))
    if table.colors:
        return _of_colors(coco_format.decode(pixels), table, path)
    if (pixels != pixels[..., :1]).any():
        raise InputError(
            f"{path} has colors, and {table.source} does not tell of which classes: add class_dict.csv (name,r,g,b) or "
            "label_colors.txt (r g b name)"
        )
    return _of_values(pixels[..., 0].astype(np.int32), table, path)


def _of_values(values: Map, table: ClassTable, path: Path) -> Map:
    most = len(table.indices)
    classes = table.indices[np.minimum(values, most - 1)]
    strange = (classes == UNKNOWN) | (values >= most)
    if strange.any():
        raise InputError(
            f"{path} has the value {values[strange].min()}, which is none of the {len(table.names)} of {table.source} "
            f"(0 to {len(table.names) - 1}; {VOID_VALUE} is void): add its name there, or make it {VOID_VALUE}"
        )
    return classes


def _of_colors(codes: Map, table: ClassTable, path: Path) -> Map:
    known = coco_format.decode(np.array([table.colors], np.uint8))[0]
    order = np.argsort(known)
    places = np.minimum(np.searchsorted(known[order], codes), len(known) - 1)
    values = order[places]
    strange = known[values] != codes
    if strange.any():
        color = tuple(coco_format.encode(codes[strange][:1])[0].tolist())
        raise InputError(
            f"{path} has the color {color}, which is none of the {len(known)} of {table.source}: add it there, as void "
            "if it is no class"
        )
    return table.indices[values]
