"""Trained weights: detectron2's ``.pth`` and ``.pkl``, our ``.safetensors``."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from pem.checkpoints import detectron2, pickles, tensors
from pem.checkpoints.identify import identify
from pem.model import PEM
from runtime.errors import CheckpointError

_READERS = {".pth": pickles.read_torch, ".pt": pickles.read_torch, ".pkl": pickles.read_pickle}


def load(path: str | Path) -> PEM:
    """The model a checkpoint was trained as, with its weights, in eval mode.

    Variant, number of classes and of queries are read from the tensors. Raises CheckpointError if the file is
    damaged, foreign or unsafe, and if a tensor is missing, unexpected or misshapen.
    """
    path = Path(path)
    state = _read(path)
    model = identify(state, str(path))
    model.load_state_dict(state)
    return model.eval()


def save(model: PEM, path: str | Path) -> None:
    """Write the weights as ``.safetensors``. Raises OutputError if the file cannot be written."""
    tensors.write(model.state_dict(), Path(path))


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}: give the path of a .pth, .pkl or .safetensors file")
    if path.suffix == tensors.SUFFIX:
        return tensors.read(path)
    if path.suffix not in _READERS:
        known = ", ".join([*_READERS, tensors.SUFFIX])
        raise CheckpointError(f"{path} is of type {path.suffix!r}, expected a checkpoint: {known}")
    return detectron2.rename(_READERS[path.suffix](path), str(path))
