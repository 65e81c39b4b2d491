"""Reads what ``torch.save`` wrote, with PyTorch's restricted loader and checks of what it believes.

The loader runs nothing but what tensors are made of. It believes the sizes that a file claims, though, and a tensor of
stride 0 claims any size at no cost.
"""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pem_edge.pem.checkpoints.formats import inert_pickle
from pem_edge.pem.checkpoints.formats.bystanders import load_restricted
from pem_edge.pem.checkpoints.formats.inert_pickle import Call, Name, Persistent, Value
from pem_edge.pem.checkpoints.names import foreign
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.outside.reading import reading

_UNSAFE = re.compile(r"GLOBAL (\S+)")
"""Finds, in the error message of ``torch.load``, the name of what it refused to call."""

_INFLATION = 4
"""Limit on the bytes of a compressed checkpoint, in sizes of its file; ``torch.save`` does not compress."""

_ARCHIVE = b"PK\x03\x04"
"""First bytes of what PyTorch reads as an archive; zipfile looks at the end instead."""

_PICKLES_AHEAD = 3  # magic number, protocol, and byte order, before the document in files of PyTorch before 1.6
_WIDTHS = {
    "ByteStorage": 1, "CharStorage": 1, "BoolStorage": 1, "HalfStorage": 2, "BFloat16Storage": 2, "ShortStorage": 2,
    "IntStorage": 4, "FloatStorage": 4, "LongStorage": 8, "DoubleStorage": 8,
}  # fmt: skip


def read_torch_file(path: Path, cure: str = "download it again") -> Any:  # whatever was saved
    """Return what ``torch.save`` wrote to ``path``, with tensors on the CPU; ``cure`` is the advice for a damaged file.

    Raises:
        CheckpointError: If the file cannot be read, is damaged, asks to run code, or claims sizes that are not there.
    """
    with reading(path, CheckpointError, expected="a checkpoint", cure=cure):
        _require_honest_sizes(path)
        try:
            with warnings.catch_warnings():  # of deprecated kinds of tensors, which are refused below
                warnings.simplefilter("ignore")
                document = load_restricted(path)
        except Exception as error:
            if unsafe := _UNSAFE.search(str(error)):
                if model := foreign.name_of_pickle(unsafe[1]):
                    raise CheckpointError(
                        f"{path} is a checkpoint of {model}, which is not supported: give one of PEM, Mask2Former or "
                        f"PRO-SCALE; the file asks to run {unsafe[1]}, so it was not loaded"
                    ) from error
                raise CheckpointError(
                    f"{path} asks to run {unsafe[1]}, which tensors do not need: it was not loaded; "
                    "if you trust its author, ask for a file saved with torch.save({'model': model.state_dict()}, path)"
                ) from error
            raise ValueError(str(error).strip().partition("\n")[0]) from error
        for name, tensor in _tensors(document):
            require_plain(tensor, name, path)
        return document


def require_plain(tensor: Tensor, name: str, path: Path) -> None:
    """Raise CheckpointError unless ``tensor`` is dense, on the CPU, of a plain type, and as large as its memory."""
    kind = None
    if tensor.layout != torch.strided or tensor.is_nested:
        kind = f"a tensor of layout {str(tensor.layout).removeprefix('torch.')}"
    elif tensor.is_quantized:
        kind = "a quantized tensor"
    elif tensor.device.type != "cpu":
        kind = f"a tensor on the device {tensor.device.type!r}, without values"
    elif tensor.is_complex() or tensor.element_size() > torch.int64.itemsize:
        kind = f"a tensor of type {str(tensor.dtype).removeprefix('torch.')}"
    elif tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        kind = f"a tensor of shape {tuple(tensor.shape)} in {tensor.untyped_storage().nbytes()} bytes"
    if kind is not None:
        raise CheckpointError(
            f"{path}: {name} is {kind}, expected dense numbers: save model.state_dict() of a float model"
        )


def _tensors(value: Value, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors in dictionaries, lists and tuples with their names, each container once."""
    seen: set[int] = set()
    pending: list[tuple[str, Value]] = [(name, value)]
    while pending:
        name, value = pending.pop()
        if isinstance(value, Tensor):
            yield name or "it", value
        elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            pending += [
                (f"{name}.{key}".removeprefix(".") if isinstance(key, str | int) else name, each) for key, each in items
            ]


def _require_honest_sizes(path: Path) -> None:
    """Raise ValueError if the file claims more bytes than it has."""
    size = path.stat().st_size
    with path.open("rb") as opened:
        is_archive = opened.read(len(_ARCHIVE)) == _ARCHIVE
    if is_archive:
        with zipfile.ZipFile(path) as archive:
            claimed = sum(entry.file_size for entry in archive.infolist())
        if claimed > _INFLATION * size:
            raise ValueError(f"claims {claimed} bytes in {size}")
        return
    # The format before PyTorch 1.6, whose loader allocates what is claimed.
    file = io.BytesIO(path.read_bytes())
    for _ in range(_PICKLES_AHEAD):
        inert_pickle.read(file)
    claimed = sum(_storage_sizes(inert_pickle.read(file)))
    if claimed > size:
        raise ValueError(f"claims {claimed} bytes in {size}")


def _storage_sizes(document: Value) -> Iterator[int]:
    """Yield the bytes of each storage that ``document`` refers to."""
    seen: set[object] = set()
    pending = [document]
    while pending:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        match value:
            case Persistent(identity=("storage", Name(name=kind), key, _, int(count), *_)) if key not in seen:
                seen.add(key)
                if kind not in _WIDTHS or count < 0:
                    raise ValueError(f"stores {count} numbers in a {kind}")
                yield _WIDTHS[kind] * count
            case Call():
                pending += [value.function, *value.arguments, value.state, *value.items.values()]
            case dict():
                pending += value.values()
            case list() | tuple():
                pending += value
