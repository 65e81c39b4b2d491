"""Reads what ``torch.save`` wrote without running anything, whatever objects are beside the weights.

PyTorch's restricted loader refuses a whole file because of one object of a class that it does not know. Here the
pickle is read as inert records, tensors are built from the records of tensors, and all others stay records. The file is
mapped into memory: what is not used of it, such as the state of an optimizer, is not read.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

import torch
from torch import Tensor

from pem_edge.pem.checkpoints.formats import inert_pickle
from pem_edge.pem.checkpoints.formats.inert_pickle import Call, Name, Persistent, Value
from pem_edge.pem.checkpoints.formats.numpy_pickles import LARGEST, MOST_DIMENSIONS, Arrays
from pem_edge.pem.checkpoints.formats.pickled_names import is_suspect, written
from pem_edge.pem.checkpoints.formats.torch_storages import ARCHIVE, Archive, Bytes, storages_behind
from pem_edge.pem.checkpoints.names.foreign import name_of_pickle
from pem_edge.runtime.errors import CheckpointError

PICKLES_AHEAD = 3  # magic number, protocol, and byte order, before the document in files of PyTorch before 1.6

_REBUILD = "torch._utils._rebuild_"
"""Beginning of the names of what tensors are made with."""

_PLAIN = ("tensor", "tensor_v2", "tensor_v3", "parameter", "parameter_with_state")

_KINDS = {
    "ByteStorage": torch.uint8, "CharStorage": torch.int8, "BoolStorage": torch.bool, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "ShortStorage": torch.int16, "IntStorage": torch.int32,
    "FloatStorage": torch.float32, "LongStorage": torch.int64, "DoubleStorage": torch.float64,
    "UntypedStorage": torch.uint8,
}  # fmt: skip
_TYPES = {str(dtype): dtype for dtype in (*_KINDS.values(), torch.uint16, torch.uint32, torch.uint64)}
_DICTIONARIES = ("collections.OrderedDict", "collections.defaultdict")
_DEPTH = 6


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

    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    if mapped[: len(ARCHIVE)] == ARCHIVE:
        archive = Archive(path, mapped)
        document = inert_pickle.read(io.BytesIO(archive.read("data.pkl").tobytes()), admit)
        return _Tensors(len(mapped), lambda key: archive.read(f"data/{key}")).interpret(document, _DEPTH)
    opened = cast("BinaryIO", mapped)
    for _ in range(PICKLES_AHEAD):
        inert_pickle.read(opened, admit)
    document = inert_pickle.read(opened, admit)
    keys = inert_pickle.read(opened, admit)
    storages = storages_behind(mapped, keys, claimed_sizes(document))
    return _Tensors(len(mapped), storages.__getitem__).interpret(document, _DEPTH)


def refusal(path: Path, name: str) -> str:
    """Return the message about a file that asks to run ``name``."""
    if (model := name_of_pickle(name)) is not None:
        return f"{path} is a whole model of {model}, which is not supported: give one of Mask2Former or its kin"
    return (
        f"{path} asks to run {name}, which tensors do not need: it was not loaded; "
        "if you trust its author, ask for a file saved with torch.save({'model': model.state_dict()}, path)"
    )


def is_odd_tensor(call: Call) -> bool:
    """Return whether ``call`` makes a tensor that is no plain array, such as a sparse one or one of complex numbers."""
    name = str(call.function)
    if not name.startswith(_REBUILD):
        return False
    return name.removeprefix(_REBUILD) not in _PLAIN or _is_of_odd_numbers(call.arguments)


def _is_of_odd_numbers(arguments: tuple[Value, ...]) -> bool:
    match arguments:
        case (Persistent(identity=("storage", Name(name=kind), *_)), *_):
            return kind not in _KINDS
        case _:
            return False


def claimed_sizes(document: Value) -> dict[str, int]:
    """Return the bytes of each storage that ``document`` refers to. Raises ValueError if it has an unknown kind."""
    sizes: dict[str, int] = {}
    seen: set[int] = set()
    pending = [document]
    while pending:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        match value:
            case Persistent(identity=("storage", *_)):
                key, dtype, count = _storage_of(value)
                sizes.setdefault(key, dtype.itemsize * count)
            case Call():
                pending += [value.function, *value.arguments, value.state, *value.items.values(), *value.elements]
            case dict():
                pending += value.values()
            case list() | tuple():
                pending += value
    return sizes


def _storage_of(value: Value) -> tuple[str, torch.dtype, int]:
    """Return the key, the type and the number of elements of a storage. Raises ValueError if it is none."""
    match value:
        case Persistent(identity=("storage", Name(name=kind), str(key), _, int(count), *view)):
            if any(each is not None for each in view):
                raise ValueError("has a storage within another one, as PyTorch saved them before 0.4")
            if kind not in _KINDS or count < 0:
                raise ValueError(f"stores {count} numbers in a {kind}")
            return key, _KINDS[kind], count
        case _:
            raise ValueError("has a tensor without a storage")


class _Tensors(Arrays):
    """Turns records of calls into tensors, arrays and dictionaries.

    Args:
        budget: The most bytes that copied arrays may have together.
        read: Returns the bytes of the storage with a key; raises an exception if there is none.
    """

    def __init__(self, budget: int, read: Callable[[str], Bytes]) -> None:
        super().__init__(budget)
        self._read = read
        self._storages: dict[str, Bytes] = {}

    def call(self, call: Call) -> Value:
        """Return the tensor, array or dictionary that ``call`` makes, or ``call`` itself. Raises ValueError."""
        match str(call.function).removeprefix(_REBUILD), call.arguments:
            case "parameter" | "parameter_with_state", (Call() as data, *_):
                return self.call(data)
            case "torch._tensor._rebuild_from_type_v2", (Name() as function, _, tuple(arguments), _):
                return self.call(Call(function, arguments))
            case _, arguments if _is_of_odd_numbers(arguments):
                return call
            case "tensor" | "tensor_v2", (storage, offset, size, stride, *_):
                return self._tensor(storage, None, offset, size, stride)
            case "tensor_v3", (storage, offset, size, stride, _, _, Name() as dtype, *_) if str(dtype) in _TYPES:
                return self._tensor(storage, _TYPES[str(dtype)], offset, size, stride)
            case name, _ if name.startswith("numpy."):
                with suppress(ValueError):  # of what is no plain array, which may be beside the weights
                    return super().call(call)
                return call
            case _:
                return call.items or (super().call(call) if str(call.function) in _DICTIONARIES else call)

    def _tensor(self, storage: Value, dtype: torch.dtype | None, offset: Value, size: Value, stride: Value) -> Tensor:
        key, kind, count = _storage_of(storage)
        stored = self._stored(key)
        if kind.itemsize * count > len(stored):
            raise ValueError(f"claims {kind.itemsize * count} bytes in {len(stored)}")
        dtype = dtype or kind
        elements = kind.itemsize * count // dtype.itemsize
        if not _fits(elements, offset, size, stride):
            raise ValueError(f"has a tensor beyond its storage of {elements} numbers")
        if stored.ctypes.data % dtype.itemsize:
            stored = self._storages[key] = stored.copy()
        if not elements:
            return torch.empty(size, dtype=dtype)
        flat = torch.from_numpy(stored)[: elements * dtype.itemsize].view(dtype)
        return flat.as_strided(size, stride, offset)

    def _stored(self, key: str) -> Bytes:
        if key not in self._storages:
            self._storages[key] = self._read(key)
        return self._storages[key]


def _fits(elements: int, offset: Value, size: Value, stride: Value) -> bool:
    """Return whether a tensor of these numbers lies within a storage of so many elements."""
    if not (isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride) <= MOST_DIMENSIONS):
        return False
    if not all(type(each) is int and 0 <= each < LARGEST for each in (offset, *size, *stride)):
        return False
    last = sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    return 0 in size or bool(offset + last < elements)
