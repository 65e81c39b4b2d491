"""Our own format: the model's state dict as safetensors, under our names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from pem_edge.runtime.artifacts.labels import Label, parse
from pem_edge.runtime.errors import CheckpointError, OutputError
from pem_edge.runtime.files import writing
from pem_edge.runtime.results.coco_format import categories

SUFFIX = ".safetensors"

_CLASSES = "categories"
"""Key of the classes among the file's metadata, as COCO's ``categories`` JSON."""


def read(path: Path) -> dict[str, Tensor]:
    """Return all tensors of the file, floating ones as float32. Raises CheckpointError."""
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or no safetensors file ({error}): fetch it again") from error
    return {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in state.items()}


def read_labels(path: Path) -> tuple[Label, ...] | None:
    """Return the classes written with the tensors, None if there are none. Raises CheckpointError, InputError."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or no safetensors file ({error}): fetch it again") from error
    return parse(metadata[_CLASSES].encode(), str(path)) if _CLASSES in metadata else None


def write(state: dict[str, Tensor], path: Path, *, labels: Sequence[Label] = (), half: bool = False) -> None:
    """Write ``state``, and the classes as metadata. Raises OutputError.

    With ``half``, matrices and kernels are float16; vectors, such as BatchNorm's variances, need float32's range.
    """
    tensors = {
        key: (tensor.half() if half and tensor.ndim > 1 else tensor).contiguous() for key, tensor in state.items()
    }
    metadata = {_CLASSES: json.dumps(categories(labels))} if labels else None
    with writing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:  # which hides the operating system's, of a full disk for instance
            raise OutputError(f"cannot write {path}: {error}; choose another place with -o") from error
