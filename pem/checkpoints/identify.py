"""Identifies the variant of a state dict by the names and shapes of its tensors."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pem_edge.pem.checkpoints.names import foreign
from pem_edge.pem.model import MaskClassifier
from pem_edge.pem.variants import VARIANTS
from pem_edge.pem.variants.variant import Variant
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.plurals import first_few, plural
from pem_edge.runtime.progress import Say

_COUNTER = "num_batches_tracked"
"""Suffix of BatchNorm's counters of batches. They are optional: detectron2's FrozenBatchNorm has none."""


@dataclass
class Differences:
    """Differences between a state dict and a model.

    Attributes:
        missing: Names of tensors that the state dict lacks.
        unexpected: Names of tensors that the model does not have.
        misshapen: Names of tensors of the wrong shape, each with both shapes.
        needed: The number of tensors that the model has.
    """

    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)
    needed: int = 0

    def __len__(self) -> int:
        return len(self.missing) + len(self.unexpected) + len(self.misshapen)

    def __str__(self) -> str:
        parts = {"missing": self.missing, "unexpected": self.unexpected, "misshapen": self.misshapen}
        return "; ".join(f"{len(names)} {kind} ({first_few(names)})" for kind, names in parts.items() if names)


def identify(state: dict[str, Tensor], source: str, say: Say = lambda _text: None) -> MaskClassifier:
    """Build the model that ``state`` fits exactly, with random weights.

    Adds BatchNorm's counters to ``state`` if they are missing.

    Args:
        state: Tensors by our names; changed in place.
        source: What to call the checkpoint in an error message.
        say: Told if the decoder is of another depth than the variant's.

    Raises:
        CheckpointError: If ``state`` does not fit any variant, or holds integers in place of weights.
    """
    num_classes, num_queries = _counts(state, source)
    row, differences = _nearest(state, num_classes, num_queries)
    if differences:
        _refuse_foreign(state, source)
        if len(differences) > differences.needed // 2:
            raise CheckpointError(
                f"{source} is not a checkpoint of {foreign.SUPPORTED}; the closest is {row.name}, but {differences}"
            )
        raise CheckpointError(f"{source} does not fit {row.name}: {differences}")
    model = row.build(num_classes, num_queries)  # no sooner: a damaged file may claim more classes than memory holds
    if row.layers != (usual := VARIANTS[row.name].layers):
        say(f"{plural(row.layers, 'decoder layer')}, where {row.name} has {usual}")
    for name, tensor in model.state_dict().items():
        if name.endswith(_COUNTER):
            state.setdefault(name, tensor)
        require_floats(name, state[name], tensor, source)
    return model


def require_floats(name: str, given: Tensor, needed: Tensor, source: str) -> None:
    """Raise CheckpointError if the tensor ``given`` holds integers where ``needed`` holds floating-point numbers."""
    if needed.is_floating_point() and not given.is_floating_point():
        kind = str(given.dtype).removeprefix("torch.")
        raise CheckpointError(
            f"{source}: {name} holds numbers of type {kind}, expected floating-point ones: give the weights from "
            "before they were quantized"
        )


def _nearest(state: dict[str, Tensor], num_classes: int, num_queries: int) -> tuple[Variant, Differences]:
    """Return the variant that ``state`` fits, or nearly fits, and the differences."""
    compared = []
    marked = [row for row in VARIANTS.values() if row.mark in state]
    for row in marked or VARIANTS.values():
        fitted = row.fitted_to(state)
        with torch.device("meta"):
            differences = compare(state, fitted.build(num_classes, num_queries))
        compared.append((fitted, differences))
        if not differences:
            break
    return min(compared, key=lambda found: len(found[1]))


def compare(state: dict[str, Tensor], model: MaskClassifier) -> Differences:
    """Return the differences of ``state`` from the state dict of ``model``."""
    needed = {name: tensor.shape for name, tensor in model.state_dict().items()}
    found = Differences(needed=len(needed))
    for name, shape in needed.items():
        if name not in state:
            if not name.endswith(_COUNTER):
                found.missing.append(name)
        elif state[name].shape != shape:
            found.misshapen.append(f"{name} {tuple(state[name].shape)}, expected {tuple(shape)}")
    found.unexpected = [name for name in state if name not in needed]
    return found


def _counts(state: dict[str, Tensor], source: str) -> tuple[int, int]:
    """Return the numbers of classes and queries."""
    heads = [state.get("decoder.class_head.bias"), state.get("decoder.query_features")]
    if any(tensor is None or tensor.ndim == 0 or tensor.shape[0] < 1 for tensor in heads):
        _refuse_foreign(state, source)
        raise CheckpointError(
            f"{source} is not a checkpoint of {foreign.SUPPORTED}: it has no class head or no queries; "
            f"among its {len(state)} tensors are {first_few(state)}"
        )
    classes, queries = (tensor.shape[0] for tensor in heads if tensor is not None)
    if classes < 2:
        raise CheckpointError(f"{source} has a class head for 'no object' alone, expected at least one class")
    return classes - 1, queries


def _refuse_foreign(state: dict[str, Tensor], source: str) -> None:
    """Raise CheckpointError if the tensors are those of a model that is known, but not supported."""
    if model := foreign.name_of(state):
        raise CheckpointError(foreign.refusal(f"{source} is a checkpoint of", model))
