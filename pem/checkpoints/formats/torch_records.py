"""Reads what ``torch.save`` wrote without running anything, whatever objects are beside the weights.

PyTorch's restricted loader refuses a whole file because of one object of a class that it does not know. Here the
pickle is read as inert records, tensors are built from the records of tensors, and all others stay records. A large
file is mapped into memory: what is not used of it, such as the state of an optimizer, is not read. Another one is read:
if a mapped file is cut short meanwhile, touching it ends the process.
"""

from __future__ import annotations

import io
import mmap
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from pem_edge.pem.checkpoints.formats import inert_pickle
from pem_edge.pem.checkpoints.formats.inert_pickle import Name, Value
from pem_edge.pem.checkpoints.formats.pickled_names import is_suspect, written
from pem_edge.pem.checkpoints.formats.tensors import Tensors, claimed_sizes
from pem_edge.pem.checkpoints.formats.torch_storages import ARCHIVE, Archive, Bytes, Memory, storages_behind
from pem_edge.pem.checkpoints.names.foreign import name_of_pickle
from pem_edge.runtime.errors import CheckpointError

PICKLES_AHEAD = 3  # magic number, protocol, and byte order, before the document in files of PyTorch before 1.6

_MAGIC = 0x1950A86A20F9469CFC6C
_BEGINNING = re.compile(
    rb"(\x80.(\x95.{8})?)?(\x8a\n%b|L%d)" % (re.escape(_MAGIC.to_bytes(10, "little")), _MAGIC), re.DOTALL
)
"""Matches the first pickle of these files, in all protocols."""

_DEPTH = 6

_LARGE = 2 << 30
"""Bytes of files beyond which they are mapped."""


def is_torch_file(head: bytes) -> bool:
    """Return whether a file that begins with ``head`` is one of ``torch.save``, in either of its formats."""
    return head.startswith(ARCHIVE) or _BEGINNING.match(head) is not None


def read(path: Path) -> Value:
    """Return the document in a file of ``torch.save``, in either of its formats.

    Tensors in dictionaries and lists are built, over the file's own memory; everything else that is no plain data stays
    a record.

    Raises:
        CheckpointError: If the file names what no checkpoint needs.
        ValueError: If it is damaged, or claims sizes that are not there.
    """

    def admit(name: Name) -> None:
        if is_suspect(name):
            raise CheckpointError(refusal(path, written(name)))

    memory = _memory(path)
    if memory[: len(ARCHIVE)] == ARCHIVE:
        archive = Archive(path, memory)
        document = inert_pickle.read(io.BytesIO(archive.read("data.pkl").tobytes()), admit)
        return Tensors(len(memory), lambda key: archive.read(f"data/{key}")).interpret(document, _DEPTH)
    pickles = cast("BinaryIO", memory) if isinstance(memory, mmap.mmap) else io.BytesIO(memory)
    document, storages = read_old(pickles, memory, admit)
    return Tensors(len(memory), storages.__getitem__).interpret(document, _DEPTH)


def _memory(path: Path) -> Memory:
    with path.open("rb") as file:
        size = path.stat().st_size
        if size > _LARGE:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        memory = bytearray(size)
        file.readinto(memory)
        return memory


def read_old(file: BinaryIO, memory: Memory, admit: Callable[[Name], object]) -> tuple[Value, dict[str, Bytes]]:
    """Return the document and the storages, by key, in the format before PyTorch 1.6.

    Args:
        file: The bytes as a file.
        memory: The same bytes, which the storages lie in.
        admit: Called with each name; raises an exception to refuse it.

    Raises:
        ValueError: If the bytes are damaged, or claim sizes that are not there.
    """
    for _ in range(PICKLES_AHEAD):
        inert_pickle.read(file, admit)
    document = inert_pickle.read(file, admit)
    keys = inert_pickle.read(file, admit)
    return document, storages_behind(file, memory, keys, claimed_sizes(document))


def refusal(path: Path, name: str) -> str:
    """Return the message about a file that asks to run ``name``."""
    if (model := name_of_pickle(name)) is not None:
        return f"{path} is a whole model of {model}, which is not supported: give one of Mask2Former or its kin"
    return (
        f"{path} asks to run {name}, which tensors do not need: it was not loaded; "
        "if you trust its author, ask for a file saved with torch.save({'model': model.state_dict()}, path)"
    )
