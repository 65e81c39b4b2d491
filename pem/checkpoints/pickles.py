"""Reads pickled checkpoints without running code in them.

Unpickling can call any function. ``.pth`` files are therefore read with ``torch.load(weights_only=True)``, and ``.pkl``
files with an unpickler that allows only the functions and classes that arrays are made of. Neither has a less safe
fallback.
"""

from __future__ import annotations

import codecs
import pickle
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pem_edge.runtime.errors import CheckpointError


def read_torch(path: Path) -> dict[str, Tensor]:
    """Return the model's tensors in a ``.pth`` file, floats as float32. Raises CheckpointError."""
    try:
        document = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if unsafe := _UNSAFE.search(str(error)):
            raise CheckpointError(
                f"{path} asks to run {unsafe[1]}, which tensors do not need: it was not loaded; "
                "if you trust its author, ask for a file saved with torch.save({'model': model.state_dict()}, path)"
            ) from error
        raise _damage_error(path, error) from error
    return _extract_model(document, path)


def read_pickle(path: Path) -> dict[str, Tensor]:
    """Return the model's tensors in a detectron2 ``.pkl`` file, floats as float32. Raises CheckpointError."""
    try:
        with path.open("rb") as file:
            document = _ArrayUnpickler(file, encoding="latin1").load()
    except CheckpointError as error:
        raise CheckpointError(f"{path} {error}") from error
    except Exception as error:
        raise _damage_error(path, error) from error
    return _extract_model(document, path)


_UNSAFE = re.compile(r"GLOBAL (\S+)")
"""Finds, in the error message of ``torch.load``, the name of what it refused to call."""


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Encode text as Latin-1: pickles of protocol 2 call ``_codecs.encode`` for the bytes of an array.

    Other codecs are refused: arrays do not need them, and some decompress.
    """
    if codecs.lookup(encoding).name != "iso8859-1":
        raise CheckpointError(f"asks for the codec {encoding!r}, which arrays do not need: it was not loaded")
    return text.encode("latin1")


_ARRAY_PARTS: dict[tuple[str, str], object] = {  # what pickles of arrays may refer to, by module and name
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _encode,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
for _core in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _ARRAY_PARTS[_core, "_reconstruct"] = np.ndarray(0).__reduce__()[0]
    _ARRAY_PARTS[_core, "scalar"] = np.float32(0).__reduce__()[0]


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler that refuses everything but `_ARRAY_PARTS`."""

    def find_class(self, module: str, name: str) -> object:
        try:
            return _ARRAY_PARTS[module, name]
        except KeyError:
            raise CheckpointError(
                f"asks to run {module}.{name}, which arrays do not need: it was not loaded; do not trust this file"
            ) from None


def _extract_model(document: object, path: Path) -> dict[str, Tensor]:
    state = document
    for key in ("model", "state_dict"):
        state = state.get(key, state) if isinstance(state, Mapping) else state
    if not isinstance(state, Mapping):
        raise CheckpointError(f"{path} holds a {type(state).__name__}, expected a dictionary of tensors by name")
    tensors = {str(key): _tensor(value) for key, value in state.items() if isinstance(value, Tensor | np.ndarray)}
    if not tensors:
        raise CheckpointError(f"{path} holds no tensors, expected a checkpoint")
    return tensors


def _tensor(value: Tensor | NDArray[np.generic]) -> Tensor:
    tensor = value if isinstance(value, Tensor) else torch.from_numpy(np.array(value, order="C"))
    return tensor.float() if tensor.is_floating_point() else tensor


def _damage_error(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} is truncated or not a checkpoint ({_first_line(error)}): download it again")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:120]}" if lines else type(error).__name__
