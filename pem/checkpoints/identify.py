"""Which variant a state dict belongs to, told by its tensors' names and shapes."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pem_edge.pem.model import PEM
from pem_edge.pem.variants import VARIANTS
from pem_edge.runtime.errors import CheckpointError

_FOREIGN = "is of none of the models PEM, Mask2Former and PRO-SCALE"

_COUNTER = "num_batches_tracked"
"""A training statistic; FrozenBatchNorm has none, so it is neither required nor missed."""


@dataclass
class Report:
    """How a state dict differs from a model: names, and for misshapen tensors both shapes."""

    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.missing) + len(self.unexpected) + len(self.misshapen)

    def __str__(self) -> str:
        parts = {"missing": self.missing, "unexpected": self.unexpected, "misshapen": self.misshapen}
        return "; ".join(f"{len(names)} {kind} ({_some(names)})" for kind, names in parts.items() if names)


def identify(state: dict[str, Tensor], source: str) -> PEM:
    """Return a model, not yet filled, that ``state`` fits exactly.

    Batch counters that are missing from ``state`` are added to it.

    Raises:
        CheckpointError: If no variant fits.
    """
    num_classes, num_queries = _counts(state, source)
    with torch.device("meta"):
        candidates = [row.as_deep_as(state).build(num_classes, num_queries) for row in VARIANTS.values()]
    nearest = min(candidates, key=lambda model: len(compare(state, model)))
    report = compare(state, nearest)
    if len(report) > len(nearest.state_dict()) // 2:
        raise CheckpointError(f"{source} {_FOREIGN}; nearest is {nearest.variant}, but {report}")
    if report:
        raise CheckpointError(f"{source} does not fit {nearest.variant}: {report}")
    model = VARIANTS[nearest.variant].as_deep_as(state).build(num_classes, num_queries)
    for name, tensor in model.state_dict().items():
        if name.endswith(_COUNTER):
            state.setdefault(name, tensor)
    return model


def compare(state: dict[str, Tensor], model: PEM) -> Report:
    """Return how ``state`` differs from what ``model`` needs."""
    report = Report()
    needed = {name: tensor.shape for name, tensor in model.state_dict().items()}
    for name, shape in needed.items():
        if name not in state:
            if not name.endswith(_COUNTER):
                report.missing.append(name)
        elif state[name].shape != shape:
            report.misshapen.append(f"{name} {tuple(state[name].shape)}, expected {tuple(shape)}")
    report.unexpected = [name for name in state if name not in needed]
    return report


def _counts(state: dict[str, Tensor], source: str) -> tuple[int, int]:
    """Return number of classes and queries."""
    heads = [state.get("decoder.class_head.bias"), state.get("decoder.query_features")]
    if any(tensor is None or tensor.ndim == 0 or tensor.shape[0] < 1 for tensor in heads):
        some = _some(list(state))
        raise CheckpointError(
            f"{source} {_FOREIGN}: it has no class head and queries; among its {len(state)} tensors are {some}"
        )
    classes, queries = (tensor.shape[0] for tensor in heads if tensor is not None)
    if classes < 2:
        raise CheckpointError(f"{source} has a class head for 'no object' alone, expected at least one class")
    return classes - 1, queries


def _some(names: list[str], shown: int = 3) -> str:
    return ", ".join(names[:shown]) + (", …" if len(names) > shown else "")
