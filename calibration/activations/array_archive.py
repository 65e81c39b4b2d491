"""Reads ``.npz`` archives of plain arrays whose sizes are checked before memory is taken for them."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

_MOST_BYTES = 1 << 30
"""Limit on the bytes of an archive once decompressed; statistics of the largest variant take a twentieth."""

_BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The compressions that NumPy writes. Of others, zipfile cannot decompress a part."""


class ArrayArchive:
    """An ``.npz`` archive, to be used in a ``with`` block.

    Args:
        path: The file.

    Raises:
        ValueError: If the arrays claim more than the limit, or are compressed in a way that sets no bound on memory.
        zipfile.BadZipFile: If it is no archive.
    """

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path)
        try:
            self._require_bounds(self._zip.infolist())
        except ValueError:
            self._zip.close()
            raise

    def read(self, name: str, kind: type[np.generic], length: int | None = None) -> NDArray[np.generic]:
        """Return an array of one dimension.

        Args:
            name: The name of the array.
            kind: Its type.
            length: Its length; None for any.

        Raises:
            KeyError: If there is no such array.
            ValueError: If it has another type or shape, or fewer bytes than its shape claims.
        """
        with self._zip.open(f"{name}.npy") as entry:
            data = entry.read(self._zip.getinfo(f"{name}.npy").file_size)  # read() alone would decompress it all
        file = io.BytesIO(data)
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{name} is in version {version} of NumPy's format")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        if dtype != np.dtype(kind) or len(shape) != 1 or (length is not None and shape != (length,)):
            raise ValueError(f"{name} is {dtype} of shape {shape}")
        if math.prod(shape) * dtype.itemsize != len(data) - file.tell():
            raise ValueError(f"{name} has {len(data) - file.tell()} bytes, its shape is {shape}")
        return np.frombuffer(data, dtype, offset=file.tell()).copy()

    @staticmethod
    def _require_bounds(entries: list[zipfile.ZipInfo]) -> None:
        claimed = sum(entry.file_size for entry in entries)
        if claimed > _MOST_BYTES:
            raise ValueError(f"claims {claimed} bytes of arrays")
        if any(entry.compress_type not in _BOUNDED for entry in entries):
            raise ValueError("is compressed in an unusual way")

    def __enter__(self) -> ArrayArchive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()
