"""Variants of EoMT, which are a Vision Transformer and heads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from pem_edge.pem.backbones.vit import VisionTransformer
from pem_edge.pem.eomt import EoMT, QueryDecoder
from pem_edge.pem.variants.variant import Variant, count_layers

_POSITIONS, _PREFIX = "backbone.positions.weight", "backbone.prefix"
"""Names of tensors whose sizes tell what size the model was trained at, and how many registers it has."""


@dataclass(frozen=True, kw_only=True)
class EoMTVariant(Variant):
    """A variant of EoMT. The defaults are those of the published weights of panoptic models at 640x640.

    Attributes:
        width: Channels of a token.
        heads: Number of attention heads.
        depth: Number of blocks, those in which queries join the tokens (``layers``) among them.
        side: Rows, and columns, of patches in training.
        registers: Number of learned tokens beside the class token.
    """

    mark: ClassVar[str] = _POSITIONS
    width: int
    heads: int
    depth: int
    layers: int = 3
    queries: int = 200
    side: int = 40
    registers: int = 4

    def build(self, num_classes: int, num_queries: int | None = None) -> EoMT:
        """Return a model with random weights, in training mode; ``num_queries`` defaults to the variant's."""
        depth = max(self.depth - self.layers, 0)
        backbone = VisionTransformer(self.width, self.heads, depth, self.side, self.registers)
        decoder = QueryDecoder(
            width=self.width,
            heads=self.heads,
            depth=self.layers,
            num_queries=num_queries or self.queries,
            num_classes=num_classes,
        )
        return EoMT(self.name, backbone, decoder)

    def fitted_to(self, state: Mapping[str, Tensor]) -> EoMTVariant:
        """Return this variant with the last blocks, the grid and the registers of ``state``, a model's tensors."""
        rows = {name: len(state[name]) for name in (_POSITIONS, _PREFIX) if name in state and state[name].ndim}
        return replace(
            self,
            layers=count_layers(state) or self.layers,
            side=max(math.isqrt(rows.get(_POSITIONS, self.side**2)), 1),
            registers=max(rows.get(_PREFIX, self.registers + 1) - 1, 0),
        )
