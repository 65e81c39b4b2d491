"""Trained weights: detectron2's ``.pth`` and ``.pkl``, our ``.safetensors``."""

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
"""Stands for the weights that come with the package: `pem-nano`, trained on toy streets."""

_READERS = {".pkl": pickles.read_pickle} | dict.fromkeys((".pth", ".pt", ".tar"), pickles.read_torch)


def load(path: str | Path) -> PEM:
    """Return the model that a checkpoint was trained as, with its weights, in eval mode.

    Variant, number of classes and of queries are read from the tensors.

    Args:
        path: A ``.pth``, ``.pkl`` or ``.safetensors`` file, or "demo" for the weights that come with the package.

    Raises:
        CheckpointError: If the file is damaged, foreign or unsafe, or a tensor is missing, unexpected or misshapen.
    """
    path = locate(path)
    state = read(path)
    model = identify(state, str(path))
    model.load_state_dict(state)
    return model.eval()


def locate(path: str | Path) -> Path:
    """Return the checkpoint's file: ``path`` itself, or for "demo" the weights that come with the package."""
    return Path(__file__).parents[1] / "weights" / "demo.safetensors" if str(path) == DEMO else Path(path)


def save(model: PEM, path: str | Path, *, labels: Sequence[Label] = (), half: bool = False) -> None:
    """Write the weights of ``model`` as ``.safetensors``.

    Args:
        model: The model.
        path: The file to write.
        labels: The classes, to be kept with the weights.
        half: Whether to write float16.

    Raises:
        OutputError: If the file cannot be written.
    """
    tensors.write(model.state_dict(), Path(path), labels=labels, half=half)


def labels(path: str | Path) -> tuple[Label, ...] | None:
    """Return the classes a checkpoint was trained on, or None if it does not say; only ours do.

    Raises:
        CheckpointError: If the file cannot be read.
    """
    path = locate(path)
    return tensors.read_labels(path) if path.suffix == tensors.SUFFIX else None


def read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name, PEM's under our names. Raises CheckpointError."""
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}: give the path of a .pth, .pkl or .safetensors file")
    if path.suffix == tensors.SUFFIX:
        return tensors.read(path)
    if path.suffix not in _READERS:
        known = ", ".join([*_READERS, tensors.SUFFIX])
        raise CheckpointError(f"{path} is of type {path.suffix!r}, expected a checkpoint: {known}")
    return detectron2.rename(_READERS[path.suffix](path), str(path))
