"""Reads what ``pickle.dump`` wrote: detectron2's ``.pkl`` files of NumPy arrays, and dictionaries of tensors.

The numbers of a tensor are within such a pickle as the bytes of a file of ``torch.save``, in the format before PyTorch
1.6. Whatever else it names, nothing that is no part of an array or a tensor is admitted.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import torch

from pem_edge.pem.checkpoints.formats import inert_pickle
from pem_edge.pem.checkpoints.formats.arrays import ADMITTED, bytes_of
from pem_edge.pem.checkpoints.formats.inert_pickle import Call, Name, Value
from pem_edge.pem.checkpoints.formats.pickled_names import is_suspect
from pem_edge.pem.checkpoints.formats.tensors import Tensors, storage_of
from pem_edge.pem.checkpoints.formats.torch_files import require_plain_tensors
from pem_edge.pem.checkpoints.formats.torch_records import read_old
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.outside.reading import reading

_LOAD = Name("torch.storage", "_load_from_bytes")
"""The function that pickles of tensors call for a storage."""


def read_pickle(path: Path) -> Value:
    """Return the document in a pickle, with NumPy arrays and tensors built. Raises CheckpointError."""

    def admit(name: Name) -> None:
        if name not in ADMITTED and not _is_of_tensors(name):
            raise CheckpointError(
                f"{path} asks to run {name}, which arrays do not need: it was not loaded; do not trust this file"
            )

    with reading(path, CheckpointError, expected="a checkpoint", cure="download it again"):
        data = path.read_bytes()
        document = inert_pickle.read(io.BytesIO(data), admit)
        return require_plain_tensors(_DumpedTensors(len(data), admit).interpret(document), path)


def _is_of_tensors(name: Name) -> bool:
    return name == _LOAD or (name.module.partition(".")[0] == "torch" and not is_suspect(name))


class _DumpedTensors(Tensors):
    """Turns records into tensors, each of whose storages is the argument of a call."""

    def __init__(self, budget: int, admit: Callable[[Name], object]) -> None:
        super().__init__(budget, _refuse)
        self._admit = admit

    def place(self, storage: Value) -> tuple[str, torch.dtype, int]:
        """Return the key, the type and the number of elements of a storage, whose bytes are kept. Raises ValueError."""
        if not isinstance(storage, Call) or storage.function != _LOAD or len(storage.arguments) != 1:
            raise ValueError("has a tensor without a storage")
        content = bytearray(bytes_of(storage.arguments[0]))
        self.spend(len(content))
        document, storages = read_old(io.BytesIO(content), content, self._admit)
        key, dtype, count = storage_of(document)
        place = str(id(storage))
        self._storages[place] = storages[key]
        return place, dtype, count


def _refuse(_key: str) -> NoReturn:
    raise ValueError("has a storage outside of the pickle")
