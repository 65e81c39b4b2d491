"""Reading pickled checkpoints without running what is in them.

A pickle is a program. ``.pth`` files go through torch's restricted loader, ``.pkl`` files through an unpickler
that knows only what arrays of numbers are made of; neither falls back to anything wider.
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
    """Return the model's tensors in a ``.pth`` file. Raises CheckpointError."""
    try:
        document = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if unsafe := _UNSAFE.search(str(error)):
            raise CheckpointError(
                f"{path} asks to run {unsafe[1]}, which no tensor needs: it was not loaded; where you trust its maker, "
                "have it saved again with torch.save({'model': model.state_dict()}, path)"
            ) from error
        raise _damaged(path, error) from error
    return _model_of(document, path)


def read_pickle(path: Path) -> dict[str, Tensor]:
    """Return the model's tensors in a detectron2 ``.pkl`` file. Raises CheckpointError."""
    try:
        with path.open("rb") as file:
            document = _ArrayUnpickler(file, encoding="latin1").load()
    except CheckpointError as error:
        raise CheckpointError(f"{path} {error}") from error
    except Exception as error:
        raise _damaged(path, error) from error
    return _model_of(document, path)


_UNSAFE = re.compile(r"GLOBAL (\S+)")
"""In the message of torch's restricted loader, what it refused to call."""


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Return what pickles of bytes made by Python 2 call; other codecs are not arrays' business."""
    if codecs.lookup(encoding).name != "iso8859-1":
        raise CheckpointError(f"asks for the codec {encoding!r}, which no array needs: it was not loaded")
    return text.encode("latin1")


_ARRAY_PARTS: dict[tuple[str, str], object] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _encode,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
for _core in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _ARRAY_PARTS[_core, "_reconstruct"] = np.ndarray(0).__reduce__()[0]
    _ARRAY_PARTS[_core, "scalar"] = np.float32(0).__reduce__()[0]


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        try:
            return _ARRAY_PARTS[module, name]
        except KeyError:
            raise CheckpointError(
                f"asks to run {module}.{name}, which no array of weights needs: it was not loaded; "
                "do not trust this file"
            ) from None


def _model_of(document: object, path: Path) -> dict[str, Tensor]:
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


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} is truncated or no checkpoint ({_reason(error)}): fetch it again")


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:120]}" if lines else type(error).__name__
