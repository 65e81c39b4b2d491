"""Reads what ``torch.save`` wrote: weights of others as records, this program's own files with PyTorch's loader.

PyTorch's restricted loader runs nothing but what tensors are made of. It refuses a whole file because of one object of
another class, though, so that only `torch_records` reads what training tools save. The loader also believes the sizes
that a file claims, and with either a tensor of stride 0 claims any size at no cost.
"""

from __future__ import annotations

import io
import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pem_edge.pem.checkpoints.formats import inert_pickle, torch_records
from pem_edge.pem.checkpoints.formats.inert_pickle import Call, Value
from pem_edge.pem.checkpoints.formats.leaves import leaves
from pem_edge.pem.checkpoints.formats.tensors import claimed_sizes, oddity
from pem_edge.pem.checkpoints.formats.torch_records import PICKLES_AHEAD, refusal
from pem_edge.pem.checkpoints.formats.torch_storages import ARCHIVE
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.outside.reading import reading

_UNSAFE = re.compile(r"GLOBAL (\S+)")
"""Finds, in the error message of ``torch.load``, the name of what it refused to call."""

_INFLATION = 4
"""Limit on the bytes of a compressed checkpoint, in sizes of its file; ``torch.save`` does not compress."""

_SHARING = 8
"""Limit on the bytes of all tensors, in bytes of the memory that they share."""


def read_torch_file(path: Path, cure: str = "download it again") -> Any:  # whatever was saved
    """Return what ``torch.save`` wrote to ``path``, with tensors on the CPU; ``cure`` is the advice for a damaged file.

    Raises:
        CheckpointError: If the file cannot be read, is damaged, asks to run code or for objects other than tensors, or
            claims sizes that are not there.
    """
    with reading(path, CheckpointError, expected="a checkpoint", cure=cure):
        if not _is_honest_archive(path):
            _require_honest_storages(path)
        try:
            return require_plain_tensors(_load(path), path)
        except pickle.UnpicklingError as error:
            if unsafe := _UNSAFE.search(str(error)):
                raise CheckpointError(refusal(path, unsafe[1])) from error
            raise


def read_weights(path: Path) -> Value:
    """Return what ``torch.save`` wrote to ``path``, with tensors on the CPU and objects beside them as inert records.

    Raises:
        CheckpointError: If the file cannot be read, is damaged, asks to run code, or claims sizes that are not there.
    """
    with reading(path, CheckpointError, expected="a checkpoint", cure="download it again"):
        _is_honest_archive(path)  # of the format before archives, records check the sizes themselves
        return require_plain_tensors(torch_records.read(path), path)


def _load(path: Path) -> Value:
    """Return what PyTorch's restricted loader reads. Raises UnpicklingError if it does not know an object."""
    try:
        with warnings.catch_warnings():  # of deprecated kinds of tensors, which are refused below
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise
    except Exception as error:
        raise ValueError(str(error).strip().partition("\n")[0]) from error


def require_plain_tensors(document: Value, path: Path) -> Value:
    """Return ``document``. Raises CheckpointError or ValueError if one of its tensors is not what it claims to be."""
    claimed, stored = 0, {}
    for name, value in leaves(document):
        if isinstance(value, Tensor):
            _require_plain(value, name, path)
            claimed += value.numel() * value.element_size()
            stored[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        elif isinstance(value, Call) and (kind := oddity(value)) is not None:
            raise CheckpointError(_odd(f"{path}: {name} is {kind}"))
    if claimed > _SHARING * sum(stored.values()):
        raise ValueError(f"has tensors of {claimed} bytes in {sum(stored.values())}")
    return document


def _require_plain(tensor: Tensor, name: str, path: Path) -> None:
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
        raise CheckpointError(_odd(f"{path}: {name} is {kind}"))


def _odd(found: str) -> str:
    return f"{found}, expected dense numbers: save model.state_dict() of a float model"


def _is_honest_archive(path: Path) -> bool:
    """Return whether the file is an archive. Raises ValueError if that claims more bytes than it can have."""
    size = path.stat().st_size
    with path.open("rb") as opened:
        if opened.read(len(ARCHIVE)) != ARCHIVE:
            return False
    with zipfile.ZipFile(path) as archive:
        claimed = sum(entry.file_size for entry in archive.infolist())
    if claimed > _INFLATION * size:
        raise ValueError(f"claims {claimed} bytes in {size}")
    return True


def _require_honest_storages(path: Path) -> None:
    """Raise ValueError if a file of the format before PyTorch 1.6, whose loader allocates it, claims too many bytes."""
    size = path.stat().st_size
    file = io.BytesIO(path.read_bytes())
    for _ in range(PICKLES_AHEAD):
        inert_pickle.read(file)
    claimed = sum(claimed_sizes(inert_pickle.read(file)).values())
    if claimed > size:
        raise ValueError(f"claims {claimed} bytes in {size}")
