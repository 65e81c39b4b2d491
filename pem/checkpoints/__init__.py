"""Trained weights: of detectron2, transformers, mmdetection and mmsegmentation, by file or name, and our own."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from pem_edge.pem.array_inputs import take_arrays
from pem_edge.pem.checkpoints import names
from pem_edge.pem.checkpoints.description import Description
from pem_edge.pem.checkpoints.descriptions import describe, transformers_config
from pem_edge.pem.checkpoints.formats import read_file, safetensors_files
from pem_edge.pem.checkpoints.formats.inert_pickle import Value
from pem_edge.pem.checkpoints.formats.unchanged import Stamp, require_unchanged, unchanged
from pem_edge.pem.checkpoints.identify import identify
from pem_edge.pem.checkpoints.places import DEMO, DEMO_FILE, Place, locate
from pem_edge.pem.checkpoints.wrappings import unwrap
from pem_edge.pem.model import MEAN, STD, Channels, MaskClassifier, Normalization
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import Task
from pem_edge.runtime.artifacts.sections import FileHash, Weights
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.files import sha256
from pem_edge.runtime.outside.reading import reading
from pem_edge.runtime.progress import Say

__all__ = ["DEMO", "DEMO_FILE", "Checkpoint", "Description", "Place", "load", "open_checkpoint", "read", "save"]

Question = Literal["task", "labels"]
"""A question to the user: what a model was trained for, or which of its classes are stuff."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A trained model and what is known of it.

    Attributes:
        model: The model with its weights in single precision, on the CPU, in evaluation mode.
        description: What is known of the weights beside their tensors.
        place: Where they were found.
        stamps: What tells whether their files are still those that were read.
    """

    model: MaskClassifier
    description: Description
    place: Place
    stamps: tuple[Stamp, ...]

    def weights(self) -> Weights:
        """Return the files' names and hashes, which takes a while, and their origin.

        Raises:
            CheckpointError: If a file changed since it was read.
        """
        first, *parts = (FileHash(path.name, sha256(path)) for path in self.place.files)
        require_unchanged(self.place.files, self.stamps)
        return Weights(
            first.file,
            first.sha256,
            parts=tuple(parts),
            source=None if self.place.revision is None else self.place.name,
            revision=self.place.revision,
            license=self.description.license,
        )


def load(
    source: str | Path, say: Say = _log.warning, *, revision: str | None = None, part: str | None = None
) -> MaskClassifier:
    """Load a trained model.

    Example:
        >>> import numpy as np
        >>> from pem_edge import pem
        >>> model = pem.load("demo")
        >>> logits, masks = model(np.zeros((256, 512, 3), np.uint8))
        >>> tuple(logits.shape), tuple(masks.shape)
        ((1, 50, 16), (1, 50, 64, 128))

    The variant and the numbers of classes, queries and layers are read from the names and shapes of the tensors.

    Args:
        source: A file that ``torch.save`` wrote (``.pth``, ``.pt``, ``.tar``, ``.ckpt``, ``.bin``), a ``.pkl`` or a
            ``.safetensors`` file, a folder that transformers wrote, the name of a model on the Hugging Face hub, or
            "demo" for the weights that come with the package.
        say: Told what was not plain, such as a prefix taken off all names, or averages beside the weights.
        revision: A branch, tag or commit of a model on the hub; None for the newest.
        part: The name of one of several sets of weights in a file, such as "model_ema"; None for the usual one.

    Returns:
        The model with its weights in single precision, on the CPU, in evaluation mode. It takes tensors and arrays of
        NumPy, uint8 RGB (N, H, W, 3) or (H, W, 3), H and W multiples of its ``multiple_of``, and raises InputError for
        others; it returns class logits (N, Q, K+1) and mask logits (N, Q, H/4, W/4).

    Raises:
        CheckpointError: If the checkpoint is missing, damaged or of another format, contains code, or does not fit any
            variant: a tensor is missing, unexpected, of the wrong shape, or not finite.
    """
    return take_arrays(open_checkpoint(source, say, revision=revision, part=part, asks=()).model)


def open_checkpoint(
    source: str | Path,
    say: Say = _log.warning,
    *,
    revision: str | None = None,
    part: str | None = None,
    asks: Collection[Question] = ("task", "labels"),
) -> Checkpoint:
    """Load a trained model and what is known of it.

    Args:
        source: As in `load`.
        say: As in `load`, and asked what only guesses can tell.
        revision: As in `load`.
        part: As in `load`.
        asks: What to ask for, as the caller does not know it and needs it.

    Raises:
        CheckpointError: As `load`, or if what a folder's ``config.json`` says does not fit the tensors.
    """
    place = locate(
        source, say, revision, admit=lambda folder: transformers_config.read(folder, _say_nothing, _say_nothing)
    )
    ask_task, ask_labels = (say if question in asks else _say_nothing for question in ("task", "labels"))
    config, told = (None, None) if place.folder is None else transformers_config.read(place.folder, say, ask_labels)
    with unchanged(place.files) as stamps:
        document = _read_files(place)
        state = _to_model(document, place, say, part)
        model = identify(state, place.name, say)
        if config is not None:
            transformers_config.check(config, model, place.name)
        model.load_state_dict(state)
        description = describe(place, told, document, model.variant, model.num_classes, say, ask_task)
    if model.trained_size is not None:  # what a file says may be rounded, or a limit
        description = replace(description, size=model.trained_size)
    model.normalize = Normalization(description.mean or MEAN, description.std or STD)
    return Checkpoint(model.eval(), description, place, stamps)


def read(path: str | Path, say: Say = _log.warning, part: str | None = None) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name.

    Names of other codes are replaced by ours; names that are nobody's stay as they are. Prefixes that wrappers such as
    DataParallel and Lightning put before all names are taken off; ``say`` is told.

    Raises:
        CheckpointError: If the file is missing, damaged or of another format, contains code, or has weights that are
            not finite.
    """
    place = locate(path, say)
    with unchanged(place.files):
        return _to_model(_read_files(place), place, say, part)


def save(
    model: MaskClassifier,
    path: str | Path,
    *,
    labels: Sequence[Label] = (),
    task: Task | None = None,
    size: tuple[int, int] | None = None,
    spdx: str | None = None,
    half: bool = False,
) -> None:
    """Write the weights of ``model`` as ``.safetensors``.

    Example:
        >>> from pem_edge import pem
        >>> pem.save(pem.load("demo"), "mine.safetensors", task="panoptic")
        >>> pem.load("mine.safetensors").variant
        'pem-nano'

    Args:
        model: The model.
        path: The file to write.
        labels: The classes, which are stored with the weights.
        task: The kind of segmentation that the weights were trained for, which is stored, too.
        size: The height and width of the images that they were trained on, in pixels, which is stored, too.
        spdx: The SPDX identifier of the weights' license, which is stored, too.
        half: Whether to write matrices and kernels in half precision.

    Raises:
        OutputError: If the file cannot be written.
    """
    mean, std = _channels(model.normalize.mean), _channels(model.normalize.std)
    known = Description(tuple(labels) or None, task, size, license=spdx)
    if (mean, std) != (_channels(Normalization().mean), _channels(Normalization().std)):
        known = replace(known, mean=mean, std=std)
    safetensors_files.write(model.state_dict(), Path(path), known, half=half)


def _say_nothing(_text: str) -> None:
    """Leave it to the reading that follows to say it, or nobody needs to know."""


def _channels(values: Tensor) -> Channels:
    red, green, blue = values.flatten().tolist()
    return red, green, blue


def _read_files(place: Place) -> Value:
    """Return what the files of a checkpoint hold, parts as one; tensors may lie in them. Raises CheckpointError."""
    if len(place.files) == 1:
        return read_file(place.files[0])
    whole: dict[str, Value] = {}
    for path in place.files:
        part = read_file(path)
        if not isinstance(part, Mapping):
            raise CheckpointError(f"{path} holds a {type(part).__name__}, expected tensors by name: download it again")
        whole.update(part)
    return whole


def _to_model(document: Value, place: Place, say: Say, part: str | None) -> dict[str, Tensor]:
    """Return the model's tensors by our names, all finite and in memory of their own. Raises CheckpointError."""
    with reading(place.name, CheckpointError, expected="a checkpoint", cure="download it again"):
        state = names.to_ours(unwrap(document, say, part, source=place.name), place.name)
    for name, tensor in state.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{place.name}: {name} holds values that are not finite, expected trained weights: the training "
                "diverged; take an earlier checkpoint"
            )
    return state
