"""Sources of images: images, videos, cameras, addresses, and raw frames from another program."""

from __future__ import annotations

from pem_edge.runtime.sources.files.pictures import Pictures
from pem_edge.runtime.sources.files.several import Several
from pem_edge.runtime.sources.files.video import Video
from pem_edge.runtime.sources.finding import MAX_TIMEOUT, TIMEOUT, Source, find, find_pictures, find_several
from pem_edge.runtime.sources.frame import Footage, Frame
from pem_edge.runtime.sources.live import Address, Camera
from pem_edge.runtime.sources.raw import FORMATS, RawFrames

__all__ = [
    "FORMATS",
    "MAX_TIMEOUT",
    "TIMEOUT",
    "Address",
    "Camera",
    "Footage",
    "Frame",
    "Pictures",
    "RawFrames",
    "Several",
    "Source",
    "Video",
    "find",
    "find_pictures",
    "find_several",
]
