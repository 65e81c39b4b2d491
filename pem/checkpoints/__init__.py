"""Trained weights in detectron2's formats, ``.pth`` and ``.pkl``, and in ours, ``.safetensors``."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from pem_edge.pem.checkpoints.formats import safetensors_files
from pem_edge.pem.checkpoints.formats.numpy_pickles import read_numpy_pickle
from pem_edge.pem.checkpoints.formats.torch_files import read_weights
from pem_edge.pem.checkpoints.identify import identify
from pem_edge.pem.checkpoints.names import detectron2
from pem_edge.pem.checkpoints.wrappings import unwrap
from pem_edge.pem.model import PEM
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.outside.reading import reading
from pem_edge.runtime.progress import Say

DEMO = "demo"
"""Name, in place of a path, of the weights that come with the package: ``pem-nano`` trained on toy streets."""

_READERS = {".pkl": read_numpy_pickle} | dict.fromkeys((".pth", ".pt", ".tar", ".ckpt", ".bin"), read_weights)
_log = logging.getLogger(__name__)


def load(path: str | Path, say: Say = _log.warning) -> PEM:
    """Load a trained model.

    The variant and the numbers of classes and queries are read from the names and shapes of the tensors.

    Args:
        path: A file that ``torch.save`` wrote (``.pth``, ``.pt``, ``.tar``, ``.ckpt``, ``.bin``), a ``.pkl`` or a
            ``.safetensors`` file, or "demo" for the weights that come with the package.
        say: Told what was not plain, such as a prefix taken off all names, or averages beside the weights.

    Returns:
        The model with its weights in single precision, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: If the file is missing, damaged or of another format, contains code, or does not fit any
            variant: a tensor is missing, unexpected, of the wrong shape, or not finite.
    """
    path = locate(path)
    state = read(path, say)
    model = identify(state, str(path))
    model.load_state_dict(state)
    return model.eval()


def locate(path: str | Path) -> Path:
    """Return ``path``, or for "demo" the path of the weights that come with the package. Raises CheckpointError."""
    if not isinstance(path, (str, os.PathLike)):
        raise CheckpointError(f"the checkpoint is {brief(path)}, expected a path: give it as a str or a Path")
    return Path(__file__).parents[1] / "weights" / "demo.safetensors" if str(path) == DEMO else Path(path)


def save(model: PEM, path: str | Path, *, labels: Sequence[Label] = (), half: bool = False) -> None:
    """Write the weights of ``model`` as ``.safetensors``.

    Args:
        model: The model.
        path: The file to write.
        labels: The classes, which are stored with the weights; see `labels`.
        half: Whether to write matrices and kernels in half precision.

    Raises:
        OutputError: If the file cannot be written.
    """
    safetensors_files.write(model.state_dict(), Path(path), labels=labels, half=half)


def labels(path: str | Path) -> tuple[Label, ...] | None:
    """Return the classes that a checkpoint was trained on, or None if the file does not contain them.

    Only ``.safetensors`` files written by `save` contain them.

    Raises:
        CheckpointError: If the file cannot be read.
        InputError: If its classes are malformed.
    """
    path = locate(path)
    return safetensors_files.read_labels(path) if path.suffix.lower() == safetensors_files.SUFFIX else None


def read(path: Path, say: Say = _log.warning, part: str | None = None) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name.

    Names of the published code are replaced by ours; names that neither has stay as they are. Prefixes that wrappers
    such as DataParallel and Lightning put before all names are taken off; ``say`` is told. ``part``
    chooses one of several sets of weights by its name, such as "model_ema"; see `unwrap`.

    Raises:
        CheckpointError: If the file is missing, damaged or of another format, contains code, or has weights that are
            not finite.
    """
    suffix = path.suffix.lower()
    with reading(path, CheckpointError, expected="a checkpoint", cure="download it again"):
        if not path.is_file():
            raise CheckpointError(f"no checkpoint at {path}: give the path of a .pth, .pkl or .safetensors file")
        if suffix != safetensors_files.SUFFIX and suffix not in _READERS:
            known = ", ".join([*_READERS, safetensors_files.SUFFIX])
            raise CheckpointError(f"{path} is of type {path.suffix!r}, expected a checkpoint: {known}")
        document = safetensors_files.read(path) if suffix == safetensors_files.SUFFIX else _READERS[suffix](path)
        state = detectron2.rename(unwrap(document, say, part, source=str(path)), str(path))
    _require_finite(state, path)
    return state


def _require_finite(state: dict[str, Tensor], path: Path) -> None:
    for name, tensor in state.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{path}: {name} holds values that are not finite, expected trained weights: the training diverged; "
                "take an earlier checkpoint"
            )
