"""Telling results of this package from pictures and videos, so that none is segmented again.

Pictures have a text chunk, videos a last box, that players and viewers skip. Both stay when files are renamed.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from pathlib import Path

_SIGNATURE_AND_HEADER = 8 + 25
"""Bytes of a PNG before the first chunk that is optional."""

_TEXT = b"tEXt" + b"Software\0pem-edge"
_PNG_CHUNK = (len(_TEXT) - 4).to_bytes(4, "big") + _TEXT + zlib.crc32(_TEXT).to_bytes(4, "big")

_BOX = b"free" + b"made by pem-edge"
VIDEO_MARK = (len(_BOX) + 4).to_bytes(4, "big") + _BOX
"""The bytes at the end of the videos."""


def mark_png(png: bytes) -> bytes:
    """Return a PNG with the mark of a result."""
    return png[:_SIGNATURE_AND_HEADER] + _PNG_CHUNK + png[_SIGNATURE_AND_HEADER:]


def is_own(path: Path) -> bool:
    """Return whether a file is a picture or a video that this package made of another one."""
    suffix = path.suffix.lower()
    with suppress(OSError):  # what cannot be read is reported when it is needed
        if suffix == ".png":
            with path.open("rb") as file:
                return file.read(_SIGNATURE_AND_HEADER + len(_PNG_CHUNK)).endswith(_PNG_CHUNK)
        if suffix == ".mp4":
            with path.open("rb") as file:
                file.seek(-len(VIDEO_MARK), 2)
                return file.read() == VIDEO_MARK
    return False
