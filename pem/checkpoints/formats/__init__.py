"""The files that weights come in; none of them can run code."""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from pathlib import Path

from pem_edge.pem.checkpoints.formats import safetensors_files
from pem_edge.pem.checkpoints.formats.inert_pickle import Value
from pem_edge.pem.checkpoints.formats.plain_pickles import read_pickle
from pem_edge.pem.checkpoints.formats.torch_files import read_weights
from pem_edge.pem.checkpoints.formats.torch_records import is_torch_file
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.outside.reading import reading

SUFFIXES = (".pkl", ".pth", ".pt", ".tar", ".ckpt", ".bin", safetensors_files.SUFFIX)
"""Suffixes of the files that can be read, in lower case."""

_TAR, _TAR_AT = b"ustar", 257
"""The mark of a tar archive, and its position in the file."""

_OPCODES = frozenset(opcode.code.encode("latin-1") for opcode in pickletools.opcodes)
"""The bytes that a pickle can begin with."""


def read_file(path: Path) -> Value:
    """Return what a file holds: tensors or arrays in dictionaries. Tensors may lie in the file: copy them to keep them.

    Raises:
        CheckpointError: If the file is missing, damaged, or of another format, or contains code.
    """
    with reading(path, CheckpointError, expected="a checkpoint", cure="download it again"):
        if path.suffix.lower() not in SUFFIXES:
            raise CheckpointError(f"{path} is of type {path.suffix!r}, expected a checkpoint: {', '.join(SUFFIXES)}")
        return _reader(path)(path)


def _reader(path: Path) -> Callable[[Path], Value]:
    """Return what reads a file, by its first bytes: tools give ``torch.save`` and ``pickle.dump`` the same suffixes.

    Raises:
        CheckpointError: If it is a tar archive.
        ValueError: If it is no pickle, which is seen before the whole file is read.
    """
    if path.suffix.lower() == safetensors_files.SUFFIX:
        return safetensors_files.read
    with path.open("rb") as file:
        head = file.read(_TAR_AT + len(_TAR))
    if is_torch_file(head):
        return read_weights
    if head.endswith(_TAR):
        raise CheckpointError(
            f"{path} is a tar archive, as the first releases of PyTorch saved, expected what torch.save writes now: if "
            "you trust its author, torch.save what torch.load(path, weights_only=False) returns, or unpack it"
        )
    if head[:1] not in _OPCODES:
        raise ValueError(f"begins with {head[:1]!r}, which no pickle does")
    return read_pickle
