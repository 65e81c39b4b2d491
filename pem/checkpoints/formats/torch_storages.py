"""Finds the bytes of what ``torch.save`` wrote in the memory of its file."""

from __future__ import annotations

import mmap
import struct
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pem_edge.pem.checkpoints.formats.inert_pickle import Value

ARCHIVE = b"PK\x03\x04"
"""First bytes of what PyTorch reads as an archive; zipfile looks at the end instead."""

_LOCAL_HEADER = 30  # bytes in an archive before an entry's name; the last four are the lengths of name and extra field
_COUNT = 8  # bytes of the number of elements before a storage in the format before PyTorch 1.6

Bytes = NDArray[np.uint8]

Memory: TypeAlias = "mmap.mmap | bytearray"
"""The bytes of a file."""


class Archive:
    """The entries of an archive below its folder, in the memory of the file."""

    def __init__(self, path: Path, memory: Memory) -> None:
        self._memory = memory
        self._zip = zipfile.ZipFile(path)
        entries = self._zip.infolist()
        twice = [name for name, count in Counter(entry.filename for entry in entries).items() if count > 1]
        if twice:
            raise ValueError(f"has the entry {twice[0]} twice")
        self._entries = {entry.filename.partition("/")[2]: entry for entry in entries}
        if "constants.pkl" in self._entries:
            raise ValueError("is a program in TorchScript, expected weights saved with torch.save")
        if self._entries.get("byteorder") and self.read("byteorder").tobytes() != b"little":
            raise ValueError("has its bytes in another order than little-endian")

    def read(self, name: str) -> Bytes:
        """Return the bytes of an entry, without a copy unless they are compressed. Raises ValueError."""
        entry = self._entries.get(name)
        if entry is None:
            raise ValueError(f"lacks the entry {name}")
        if entry.compress_type == zipfile.ZIP_DEFLATED:
            with self._zip.open(entry) as opened:  # a size to read keeps zipfile from inflating more than is claimed
                return np.frombuffer(bytearray(opened.read(entry.file_size)), np.uint8)
        if entry.compress_type != zipfile.ZIP_STORED:  # of these, zipfile inflates all before it looks at the size
            raise ValueError(f"compresses the entry {name} by a method that torch.save does not have")
        header = self._memory[entry.header_offset : entry.header_offset + _LOCAL_HEADER]
        if header[: len(ARCHIVE)] != ARCHIVE or len(header) < _LOCAL_HEADER or entry.flag_bits & 1:
            raise ValueError(f"has no bytes of the entry {name}")
        start = entry.header_offset + _LOCAL_HEADER + sum(struct.unpack("<HH", header[-4:]))
        return _part(self._memory, start, entry.file_size)


def _part(memory: Memory, start: int, size: int) -> Bytes:
    if size < 0 or start + size > len(memory):
        raise ValueError(f"claims {size} bytes in {max(0, len(memory) - start)}")
    return np.frombuffer(memory, np.uint8, size, start) if size else np.empty(0, np.uint8)


def storages_behind(file: BinaryIO, memory: Memory, keys: Value, sizes: Mapping[str, int]) -> dict[str, Bytes]:
    """Return the storages behind the pickles of the old format, each of which begins with its number of elements.

    Raises ValueError if there are others than those that ``sizes`` has the bytes of.
    """
    storages: dict[str, Bytes] = {}
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or set(keys) != set(sizes):
        raise ValueError("has other storages than its tensors need")
    for key in keys:
        start = file.tell() + _COUNT
        storages[key] = _part(memory, start, sizes[key])
        file.seek(start + sizes[key])
    return storages
