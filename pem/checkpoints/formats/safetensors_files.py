"""Reads and writes our own format: a safetensors file of the model's state dict, optionally with the classes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import msgspec
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as save_bytes
from torch import Tensor

from pem_edge.pem.checkpoints.description import Description, are_deviations, are_means
from pem_edge.pem.checkpoints.formats.arrays import LARGEST, MOST_DIMENSIONS
from pem_edge.pem.model import MEAN, STD, Channels
from pem_edge.runtime.artifacts.labels import parse
from pem_edge.runtime.artifacts.manifest import MULTIPLE_OF, Task
from pem_edge.runtime.errors import CheckpointError, InputError, OutputError
from pem_edge.runtime.files import write_atomically
from pem_edge.runtime.images import MAX_PIXELS
from pem_edge.runtime.outside import foreign_json
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.results.coco_format import categories

SUFFIX = ".safetensors"

_CLASSES = "categories"
"""Key of the file's metadata that holds the classes, as JSON like COCO's ``categories``."""

_TRAINING = "training"
"""Key of the file's metadata that holds `_Training`, as JSON."""


class _Training(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a description says beside the classes."""

    task: Task | None = None
    mean: Channels | None = None
    std: Channels | None = None
    license: str | None = None
    size: tuple[int, int] | None = None


def read(path: Path) -> dict[str, Tensor]:
    """Return all tensors of the file by name, over the file's own memory. Raises CheckpointError."""
    try:
        _require_plain_shapes(path)
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file ({error}): download it again") from error


def _require_plain_shapes(path: Path) -> None:
    """Raise CheckpointError for shapes that PyTorch does not have, or takes forever to say so."""
    with safe_open(path, "pt") as file:
        for name in file.keys():  # noqa: SIM118  # it is no dictionary
            shape = file.get_slice(name).get_shape()
            if len(shape) > MOST_DIMENSIONS or max(shape, default=0) >= LARGEST:
                raise CheckpointError(
                    f"{path}: {brief(name)} is a tensor of {len(shape)} dimensions, the largest of {max(shape)}, "
                    "expected weights: download it again"
                )


def describe(path: Path) -> Description:
    """Return what the file says of its weights. Raises CheckpointError."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file ({error}): download it again") from error
    try:
        labels = parse(metadata[_CLASSES].encode(), str(path)) if _CLASSES in metadata else None
    except InputError as error:
        raise CheckpointError(str(error)) from error
    text = metadata.get(_TRAINING, "{}").encode()
    training = foreign_json.decode(text, _Training, path, CheckpointError, expected="weights", cure="save it again")
    mean, std = training.mean or MEAN, training.std or STD
    if not (are_means(mean) and are_deviations(std)):
        raise CheckpointError(
            f"{path} subtracts {brief(mean)} from pixels of 0 to 255 and divides them by {brief(std)}, expected a mean "
            "within them, and deviations above 0: save it again"
        )
    size = training.size if training.size is not None and _is_size(training.size) else None
    return Description(labels, training.task, size, training.mean, training.std, training.license)


def _is_size(size: tuple[int, int]) -> bool:
    """Return whether images can have this height and width."""
    return all(side > 0 and side % MULTIPLE_OF == 0 for side in size) and math.prod(size) <= MAX_PIXELS


def write(state: dict[str, Tensor], path: Path, description: Description, *, half: bool = False) -> None:
    """Write the tensors ``state`` and, as metadata, what ``description`` says of them.

    With ``half``, matrices and kernels are written as float16. Vectors, such as BatchNorm's variances, stay float32
    because they may exceed the range of float16.

    Raises:
        OutputError: If the file cannot be written.
    """
    tensors = {
        key: (tensor.half() if half and tensor.ndim > 1 else tensor).contiguous() for key, tensor in state.items()
    }
    told = description.task, description.mean, description.std, description.license, description.size
    training = _Training(*told)
    metadata = {_TRAINING: msgspec.json.encode(training).decode()} if training != _Training() else {}
    if description.labels:
        metadata[_CLASSES] = json.dumps(categories(description.labels))
    with write_atomically(path, durable=True) as temporary:
        try:
            temporary.write_bytes(
                save_bytes(tensors, metadata or None)
            )  # save_file would replace the file and lose its lock
        except SafetensorError as error:  # safetensors raises it for OSErrors, too, such as a full disk
            raise OutputError(f"cannot write {path}: {error}; choose another place with -o") from error
