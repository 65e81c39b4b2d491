"""Images as RGB uint8 (H, W, 3), from files, Pillow images, and arrays of any library."""

from __future__ import annotations

from pem_edge.runtime.images.arrays import from_array
from pem_edge.runtime.images.conversion import Image, convert
from pem_edge.runtime.images.files import (
    DEMO_STREET,
    FORMATS,
    MAX_BYTES,
    SUFFIXES,
    locate,
    open_bytes,
    read,
    recognizes,
)
from pem_edge.runtime.images.limits import MAX_PIXELS, require_pixels

__all__ = [
    "DEMO_STREET",
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "SUFFIXES",
    "Image",
    "convert",
    "from_array",
    "locate",
    "open_bytes",
    "read",
    "recognizes",
    "require_pixels",
]
