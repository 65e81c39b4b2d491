"""Maps of 16 bits, whose values tell class and instance."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PIL import Image

from pem_edge.runtime.datasets import map_files
from pem_edge.runtime.datasets.map_files import COLORS, Map, MapKind
from pem_edge.runtime.errors import InputError

_KIND = MapKind("a map of instances, a gray PNG of 16 bits", "give the map of instances, which has no colors")


def read(path: Path, size: tuple[int, int]) -> Map:
    """Return the values of a gray PNG, int32 (H, W). Raises InputError if it is damaged or none, or of another size."""
    return map_files.read(path, size, _KIND, partial(_values, path=path))


def _values(image: Image.Image, depth: int, path: Path) -> Map:
    if image.mode in COLORS:
        raise InputError(f"{path} has colors, expected {_KIND.expected}: {_KIND.shallow}")
    return map_files.values(image, depth)
