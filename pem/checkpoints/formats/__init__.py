"""The files that weights come in; none of them can run code."""

from __future__ import annotations

from pathlib import Path

from pem_edge.pem.checkpoints.formats import safetensors_files
from pem_edge.pem.checkpoints.formats.inert_pickle import Value
from pem_edge.pem.checkpoints.formats.numpy_pickles import read_numpy_pickle
from pem_edge.pem.checkpoints.formats.torch_files import read_weights
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.outside.reading import reading

_READERS = {
    ".pkl": read_numpy_pickle,
    **dict.fromkeys((".pth", ".pt", ".tar", ".ckpt", ".bin"), read_weights),
    safetensors_files.SUFFIX: safetensors_files.read,
}
SUFFIXES = tuple(_READERS)
"""Suffixes of the files that can be read, in lower case."""


def read_file(path: Path) -> Value:
    """Return what a file holds: tensors or arrays in dictionaries. Tensors may lie in the file: copy them to keep them.

    Raises:
        CheckpointError: If the file is missing, damaged, or of another format, or contains code.
    """
    with reading(path, CheckpointError, expected="a checkpoint", cure="download it again"):
        if path.suffix.lower() not in _READERS:
            raise CheckpointError(f"{path} is of type {path.suffix!r}, expected a checkpoint: {', '.join(SUFFIXES)}")
        return _READERS[path.suffix.lower()](path)
