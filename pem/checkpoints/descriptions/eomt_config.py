"""Reads what ``config.json`` says of an EoMT."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pem_edge.pem.backbones.vit import PATCH
from pem_edge.pem.checkpoints.descriptions.family_config import FamilyConfig, refuse
from pem_edge.pem.checkpoints.names import foreign
from pem_edge.pem.eomt import UPSCALINGS, EoMT
from pem_edge.pem.model import MaskClassifier


class EoMTConfig(FamilyConfig):
    """The settings of an EoMT."""

    family = EoMT

    hidden_size: int | None = None
    num_hidden_layers: int | None = None
    num_attention_heads: int | None = None
    num_blocks: int | None = None
    num_register_tokens: int | None = None
    image_size: int | tuple[int, int] | None = None
    patch_size: int | tuple[int, int] = PATCH
    mlp_ratio: float = 4
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-6
    num_upscale_blocks: int = UPSCALINGS
    use_swiglu_ffn: bool = False

    def settings(self, path: Path) -> Iterator[tuple[str, object, object]]:
        """Yield settings as `FamilyConfig.settings` does."""
        if self.use_swiglu_ffn:
            refuse(foreign.GIANT, path)
        for length in _sides(self.patch_size):
            yield "patch_size", length, PATCH
        yield "mlp_ratio", self.mlp_ratio, 4
        yield "hidden_act", self.hidden_act, "gelu"
        yield "layer_norm_eps", self.layer_norm_eps, 1e-6
        yield "num_upscale_blocks", self.num_upscale_blocks, UPSCALINGS

    def facts(self, model: MaskClassifier) -> Iterator[tuple[str, int | None, int]]:
        """Yield facts as `FamilyConfig.facts` does."""
        yield from super().facts(model)
        assert isinstance(model, EoMT)
        yield "blocks", self.num_hidden_layers, len(model.backbone.blocks) + len(model.decoder.layers)
        yield "blocks with queries", self.num_blocks, len(model.decoder.layers)
        yield "attention heads", self.num_attention_heads, model.decoder.heads
        yield "registers", self.num_register_tokens, len(model.backbone.prefix) - 1
        yield "channels", self.hidden_size, model.backbone.prefix.shape[1]
        for side in _sides(self.image_size):
            yield "pixels a side", side, model.trained_size[0]


def _sides(size: int | tuple[int, int] | None) -> tuple[int, ...]:
    """Return the sides of a square or a rectangle, none for None."""
    if size is None:
        return ()
    return (size,) if isinstance(size, int) else size
