"""Reads ``config.json``, which transformers writes beside the weights of a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from pem_edge.pem.checkpoints.description import Description
from pem_edge.pem.checkpoints.descriptions import preprocessor_config
from pem_edge.pem.checkpoints.descriptions.class_names import labels_of
from pem_edge.pem.checkpoints.descriptions.eomt_config import EoMTConfig
from pem_edge.pem.checkpoints.descriptions.family_config import FamilyConfig, refuse
from pem_edge.pem.checkpoints.descriptions.mask2former_config import Mask2FormerConfig
from pem_edge.pem.checkpoints.model_folder import CONFIG
from pem_edge.pem.checkpoints.names import foreign
from pem_edge.pem.model import MaskClassifier
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import MAX_CLASSES
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.outside import foreign_json
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.outside.reading import read_bytes
from pem_edge.runtime.progress import Say

FAMILIES: dict[str, type[FamilyConfig]] = {"mask2former": Mask2FormerConfig, "eomt": EoMTConfig}
"""Kinds of configurations by ``model_type``. Other tools write none; the tensors tell what model that is."""

_MAX_BYTES = 10_000_000
_EXPECTED, _CURE = "a model's configuration", "give the folder as save_pretrained wrote it"


class _Kind(msgspec.Struct):
    """Names the model that a configuration is of, whatever else it says."""

    model_type: str | None = None


def read(folder: Path, say: Say, ask_labels: Say) -> tuple[FamilyConfig, Description]:
    """Return the configuration of the model in ``folder``, and what is told there of its weights.

    The latter has the classes and what ``preprocessor_config.json`` has, if there is one.

    Args:
        folder: The folder.
        say: Told which size cannot be used.
        ask_labels: Told which classes are taken for things without knowing it.

    Raises:
        CheckpointError: If a file is damaged, has values that no model has, or is of a model that is not supported.
    """
    path = folder / CONFIG
    data = read_bytes(path, CheckpointError, limit=_MAX_BYTES, expected=_EXPECTED, cure=_CURE)
    kind = foreign_json.decode(data, _Kind, path, CheckpointError, expected=_EXPECTED, cure=_CURE)
    family = FamilyConfig if kind.model_type is None else FAMILIES.get(kind.model_type)
    if family is None:
        refuse(foreign.name_of_model_type(str(kind.model_type)) or f"model_type {brief(kind.model_type)}", path)
    config = foreign_json.decode(data, family, path, CheckpointError, expected=_EXPECTED, cure=_CURE)
    for name, setting, supported in config.settings(path):
        if setting != supported:
            raise CheckpointError(
                f"{path}: {name} is {brief(setting)}, only {supported!r} is supported: give a model of that kind"
            )
    told = preprocessor_config.describe(folder, say)
    return config, replace(told, labels=_labels(config, path, ask_labels))


def check(config: FamilyConfig, model: MaskClassifier, source: str) -> None:
    """Raise CheckpointError unless ``config`` describes ``model``, which was built from the tensors beside it."""
    if not isinstance(model, config.family):
        raise CheckpointError(
            f"{source}: {CONFIG} is of another family, the tensors are those of {model.variant}: {_CURE}"
        )
    for name, claimed, counted in config.facts(model):
        if claimed is not None and claimed != counted:
            raise CheckpointError(
                f"{source}: {CONFIG} claims {brief(claimed)} {name}, the tensors are of a model with {counted}: {_CURE}"
            )


def _labels(config: FamilyConfig, path: Path, say: Say) -> tuple[Label, ...] | None:
    """Return the classes that ``config`` names, None if it names none. Raises CheckpointError."""
    names = config.id2label or {}
    if len(names) > MAX_CLASSES:
        raise CheckpointError(f"{path} names {len(names)} classes, expected at most {MAX_CLASSES}: {_CURE}")
    lacking = next((index for index in range(len(names)) if str(index) not in names), None)
    if lacking is not None:
        raise CheckpointError(
            f"{path} names {len(names)} classes in id2label, but none has the number {lacking}, expected 0 to "
            f"{len(names) - 1}: {_CURE}"
        )
    return labels_of([str(names[str(index)]) for index in range(len(names))], say) if names else None
