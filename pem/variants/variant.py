"""A variant: what a model consists of, and how it is built."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pem_edge.pem.model import MaskClassifier

MOST_LAYERS = 32
"""Limit on layers of each kind: names take little of a file, layers take time and memory to build."""

_DECODER_LAYER = re.compile(r"decoder\.layers\.(\d+)\.")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A row of the table of variants; each family of models has its kind.

    Attributes:
        name: Name of the variant, as on the command line.
        layers: Number of decoder layers.
        queries: Number of queries.
        mark: Name of a tensor that only the models of this kind have; "" if there is none.
    """

    mark: ClassVar[str] = ""
    name: str
    layers: int
    queries: int

    def build(self, num_classes: int, num_queries: int | None = None) -> MaskClassifier:
        """Return a model with random weights, in training mode; ``num_queries`` defaults to the variant's."""
        raise NotImplementedError

    def fitted_to(self, state: Mapping[str, Tensor]) -> Variant:
        """Return this variant with whatever else of it varies as in ``state``, a model's tensors."""
        raise NotImplementedError


def count_layers(state: Mapping[str, Tensor]) -> int:
    """Return the number of decoder layers whose tensors are in ``state``, at most `MOST_LAYERS`."""
    return min(len({match[1] for key in state if (match := _DECODER_LAYER.match(key))}), MOST_LAYERS)
