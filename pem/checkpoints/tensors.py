"""Our own format: the model's state dict as safetensors, under our names."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from runtime.errors import CheckpointError
from runtime.files import writing

SUFFIX = ".safetensors"


def read(path: Path) -> dict[str, Tensor]:
    """All tensors of the file, floating ones as float32. Raises CheckpointError."""
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or no safetensors file ({error}): fetch it again") from error
    return {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in state.items()}


def write(state: dict[str, Tensor], path: Path) -> None:
    """Write ``state``. Raises OutputError."""
    with writing(path) as temporary:
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, temporary)
