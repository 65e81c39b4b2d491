"""Builds tensors from the records of pickles, once the sizes that they claim are held against their storages."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import torch
from torch import Tensor

from pem_edge.pem.checkpoints.formats.arrays import LARGEST, MOST_DIMENSIONS, Arrays
from pem_edge.pem.checkpoints.formats.inert_pickle import Call, Name, Persistent, Value
from pem_edge.pem.checkpoints.formats.torch_storages import Bytes

_REBUILD = "torch._utils._rebuild_"
"""Beginning of the names of what tensors are made with."""

_PLAIN = ("tensor", "tensor_v2", "tensor_v3", "parameter", "parameter_with_state")

_KINDS = {
    "ByteStorage": torch.uint8, "CharStorage": torch.int8, "BoolStorage": torch.bool, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "ShortStorage": torch.int16, "IntStorage": torch.int32,
    "FloatStorage": torch.float32, "LongStorage": torch.int64, "DoubleStorage": torch.float64,
    "UntypedStorage": torch.uint8,
}  # fmt: skip
_FLOAT8 = [each for name, each in vars(torch).items() if name.startswith("float8_") and isinstance(each, torch.dtype)]
_TYPES = {str(dtype): dtype for dtype in (*_KINDS.values(), torch.uint16, torch.uint32, torch.uint64, *_FLOAT8)}
_DICTIONARIES = ("collections.OrderedDict", "collections.defaultdict")


def oddity(call: Call) -> str | None:
    """Return what kind of tensor ``call`` makes that is no plain array, such as a sparse one; None if it makes none."""
    match str(call.function), call.arguments:
        case function, _ if not function.startswith(_REBUILD):
            return None
        case function, _ if function.removeprefix(_REBUILD) not in _PLAIN:
            return f"made by {function}"
        case _, (_, _, _, _, _, _, {"neg": True} | {"conj": True}):
            return "a tensor whose signs are beside it"
        case _, (Persistent(identity=("storage", Name(name=kind), *_)), *_) if kind not in _KINDS:
            return f"a tensor in a {kind}"
        case function, (_, _, _, _, _, _, Name(name=kind) as dtype, *_) if (
            function == f"{_REBUILD}tensor_v3" and str(dtype) not in _TYPES
        ):
            return f"a tensor of type {kind}"
        case _:
            return None


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
                key, dtype, count = storage_of(value)
                sizes.setdefault(key, dtype.itemsize * count)
            case Call():
                pending += [value.function, *value.arguments, value.state, *value.items.values(), *value.elements]
            case dict():
                pending += value.values()
            case list() | tuple():
                pending += value
    return sizes


def storage_of(value: Value) -> tuple[str, torch.dtype, int]:
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


class Tensors(Arrays):
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
            case _ if oddity(call) is not None:
                return call
            case "tensor" | "tensor_v2", (storage, offset, size, stride, *_):
                return self._tensor(storage, None, offset, size, stride)
            case "tensor_v3", (storage, offset, size, stride, _, _, Name() as dtype, *_):
                return self._tensor(storage, _TYPES[str(dtype)], offset, size, stride)
            case name, _ if name.startswith("numpy."):
                with suppress(ValueError):  # of what is no plain array, which may be beside the weights
                    return super().call(call)
                return call
            case _:
                return call.items or (super().call(call) if str(call.function) in _DICTIONARIES else call)

    def place(self, storage: Value) -> tuple[str, torch.dtype, int]:
        """Return the key, the type and the number of elements of a storage. Raises ValueError if it is none."""
        return storage_of(storage)

    def _tensor(self, storage: Value, dtype: torch.dtype | None, offset: Value, size: Value, stride: Value) -> Tensor:
        key, kind, count = self.place(storage)
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
