"""Trained weights in detectron2's formats, ``.pth`` and ``.pkl``, and in ours, ``.safetensors``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from pem_edge.pem.checkpoints import detectron2, pickles, tensors
from pem_edge.pem.checkpoints.identify import identify
from pem_edge.pem.model import PEM
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.errors import CheckpointError

DEMO = "demo"
"""Name, in place of a path, of the weights that come with the package: ``pem-nano`` trained on toy streets."""

_READERS = {".pkl": pickles.read_pickle} | dict.fromkeys((".pth", ".pt", ".tar"), pickles.read_torch)


def load(path: str | Path) -> PEM:
    """Load a trained model.

    The variant and the numbers of classes and queries are read from the names and shapes of the tensors.

    Args:
        path: A ``.pth``, ``.pkl`` or ``.safetensors`` file, or "demo" for the weights that come with the package.

    Returns:
        The model with its weights in single precision, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: If the file is missing, damaged or of another format, contains code, or does not fit any
            variant: a tensor is missing, unexpected or of the wrong shape.
    """
    path = locate(path)
    state = read(path)
    model = identify(state, str(path))
    model.load_state_dict(state)
    return model.eval()


def locate(path: str | Path) -> Path:
    """Return ``path``, or for "demo" the path of the weights that come with the package."""
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
    tensors.write(model.state_dict(), Path(path), labels=labels, half=half)


def labels(path: str | Path) -> tuple[Label, ...] | None:
    """Return the classes that a checkpoint was trained on, or None if the file does not contain them.

    Only ``.safetensors`` files written by `save` contain them.

    Raises:
        CheckpointError: If the file cannot be read.
        InputError: If its classes are malformed.
    """
    path = locate(path)
    return tensors.read_labels(path) if path.suffix == tensors.SUFFIX else None


def read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name.

    Names of the published code are replaced by ours; names that neither has stay as they are.

    Raises:
        CheckpointError: If the file is missing, damaged or of another format, or contains code.
    """
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}: give the path of a .pth, .pkl or .safetensors file")
    if path.suffix == tensors.SUFFIX:
        return tensors.read(path)
    if path.suffix not in _READERS:
        known = ", ".join([*_READERS, tensors.SUFFIX])
        raise CheckpointError(f"{path} is of type {path.suffix!r}, expected a checkpoint: {known}")
    return detectron2.rename(_READERS[path.suffix](path), str(path))
