"""Encoders of videos: VP9 or H.264 by PyAV, which browsers play, or what OpenCV has."""

from __future__ import annotations

from pathlib import Path

from pem_edge.runtime.installation import how_to_install
from pem_edge.runtime.outside import optional_av
from pem_edge.runtime.results.encoders.encoder import Encoder
from pem_edge.runtime.results.encoders.opencv import OpenCvEncoder
from pem_edge.runtime.results.encoders.pyav import PyAvEncoder, best_codec

__all__ = ["Encoder", "advice", "start"]


def start(path: Path, size: tuple[int, int], fps: float, *, keep_all: bool) -> Encoder:
    """Return an encoder that writes to ``path``, an ``.mp4`` file.

    Args:
        path: The file.
        size: The (height, width) of all frames in pixels, both even.
        fps: The frames per second, which is what the last frame is shown for; without PyAV that of all.
        keep_all: Whether frames that come too early for ``fps`` are written where the rate is constant.

    Raises:
        OSError: If the file cannot be created.
        ValueError: If frames of this size cannot be encoded.
    """
    codec = best_codec()
    return PyAvEncoder(path, codec, size, fps) if codec else OpenCvEncoder(path, size, fps, keep_all=keep_all)


def advice() -> str | None:
    """Return what to install so that browsers play the videos, None if they do."""
    if best_codec():
        return None
    cure = "its FFmpeg has neither VP9 nor H.264" if optional_av.load() else how_to_install("video")
    return f"the video is MPEG-4 Part 2, which browsers do not play: {cure}"
