"""Loads backbone weights from ImageNet classifiers: ResNets, Swin Transformers and STDC, as they are published."""

from __future__ import annotations

import math
import re
from pathlib import Path

from torch import Tensor

from pem_edge.pem import checkpoints
from pem_edge.pem.checkpoints.identify import require_floats
from pem_edge.pem.checkpoints.names import classifiers
from pem_edge.pem.model import MaskClassifier
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.progress import Say

_OPTIONAL = re.compile(r"num_batches_tracked$|^norms\.\d")
"""Matches tensors that classifiers may lack: BatchNorm's counters, and the norms of Swin's feature maps."""

_POSITION_BIASES = ".attention.position_biases"
"""How the names of those tensors end whose size depends on that of Swin's windows."""


def load_backbone(model: MaskClassifier, source: str | Path, say: Say) -> None:
    """Load the weights of the backbone of ``model``, in place.

    Args:
        model: A model of any variant.
        source: A file (``.pth``, ``.tar``, ``.safetensors``, ...), a folder that transformers wrote, or the name of a
            model on the Hugging Face hub: a ResNet or Swin Transformer of torchvision, timm or transformers, or a Swin
            Transformer or STDC as their authors published it.
        say: Told what the file has besides these weights.

    Raises:
        CheckpointError: If the file is missing or damaged, or does not fit the backbone.
    """
    state = classifiers.rename(checkpoints.read(source, say), str(source))
    needed = model.backbone.state_dict()
    missing = [name for name in needed if name not in state and not _OPTIONAL.search(name)]
    misshapen = [name for name in needed if name in state and state[name].shape != needed[name].shape]
    if misshapen and not missing and all(name.endswith(_POSITION_BIASES) for name in misshapen):
        _refuse_windows(state[misshapen[0]], needed[misshapen[0]], source, model.variant)
    if missing or misshapen:
        raise CheckpointError(
            f"{source} does not fit the backbone of {model.variant}: {len(missing)} tensors are missing"
            f"{_example(missing)}, {len(misshapen)} have another shape{_example(misshapen)}"
        )
    fitting: dict[str, Tensor] = {name: state.get(name, tensor) for name, tensor in needed.items()}
    for name, tensor in fitting.items():
        require_floats(name, tensor, needed[name], str(source))
    model.backbone.load_state_dict(fitting)


def _refuse_windows(theirs: Tensor, ours: Tensor, source: str | Path, variant: str) -> None:
    """Raise CheckpointError if the position biases of a block are for windows of different sizes."""
    given, expected = (f"{window}x{window}" for window in map(_window, (theirs, ours)))
    if given != expected:
        raise CheckpointError(
            f"{source} is a Swin Transformer with windows of {given}, {variant} has {expected}: give weights for "
            f"windows of {expected}"
        )


def _window(biases: Tensor) -> int:
    """Return the height of the windows that have one bias for each of (2 window - 1)^2 positions."""
    return (math.isqrt(biases.shape[0]) + 1) // 2 if biases.ndim else 0


def _example(names: list[str]) -> str:
    return f" (such as {names[0]})" if names else ""
