"""PyAV, which reads and writes videos by FFmpeg, where it is installed (extra ``[video]``)."""

from __future__ import annotations

import errno
from types import ModuleType
from typing import BinaryIO

_OLDEST = (17, 1)
"""First version that takes options for files whose streams show late; earlier ones crash."""


def load() -> ModuleType | None:
    """Return the module ``av``; None if it is not installed, cannot be loaded here, or is too old."""
    try:
        import av
    except (ImportError, OSError):
        return None
    major, minor = av.__version__.split(".")[:2]
    return av if (int(major), int(minor)) >= _OLDEST else None


class QuietFile:
    """An open file without a name, for PyAV. Errors of writing and seeking are numbers, as FFmpeg's own are.

    Of exceptions, PyAV prints those that it cannot pass on.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.tell = file.read, file.tell
        self._file = file

    def write(self, data: bytes) -> int:
        """Write all of ``data`` and return its length, or a negative number of an error."""
        try:
            return self._file.write(data)
        except OSError as error:
            return -(error.errno or errno.EIO)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place, which a damaged file may have anywhere; return it, or a negative number of an error."""
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -errno.EINVAL
