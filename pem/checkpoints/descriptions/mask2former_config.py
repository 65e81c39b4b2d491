"""Reads what ``config.json`` says of a Mask2Former."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pem_edge.pem.checkpoints.descriptions.family_config import FamilyConfig, refuse
from pem_edge.pem.model import PEM, MaskClassifier
from pem_edge.pem.pixel_decoders.encoder import EncoderLayer
from pem_edge.runtime.outside.printable import brief

_BACKBONES = ("swin", "resnet", "timm_backbone")
"""Values of ``model_type`` of backbones that are supported; which size of them, the tensors tell."""

_OF_TIMM = re.compile(r"(tv_)?resnet(50|101)(\..*)?")
"""Matches timm's names of ResNets; relatives, such as resnetblur50, have the same tensors and compute otherwise."""


class _Backbone(msgspec.Struct):
    """The settings of a backbone that its tensors do not tell; the defaults are transformers'."""

    model_type: str | None = None
    backbone: str | None = None
    layer_norm_eps: float = 1e-5
    hidden_act: str | None = None
    use_absolute_embeddings: bool = False
    layer_type: str = "bottleneck"
    downsample_in_first_stage: bool = False
    downsample_in_bottleneck: bool = False
    output_stride: int | None = None


class Mask2FormerConfig(FamilyConfig):
    """The settings of a Mask2Former."""

    family = PEM

    decoder_layers: int | None = None
    encoder_layers: int | None = None
    num_attention_heads: int = 8
    activation_function: str = "relu"
    common_stride: int = 4
    pre_norm: bool = False
    backbone_config: _Backbone | None = None
    backbone: str | None = None
    use_timm_backbone: bool | None = None
    backbone_kwargs: _Backbone | None = None

    def settings(self, path: Path) -> Iterator[tuple[str, object, object]]:
        """Yield settings as `FamilyConfig.settings` does."""
        yield "num_attention_heads", self.num_attention_heads, 8
        yield "activation_function", self.activation_function, "relu"
        yield "common_stride", self.common_stride, 4
        yield "pre_norm", self.pre_norm, False
        backbone = self._backbone()
        if backbone.model_type not in (None, *_BACKBONES):
            refuse(f"Mask2Former with a backbone of {brief(backbone.model_type)}", path)
        if backbone.model_type == "timm_backbone" and not _OF_TIMM.fullmatch(backbone.backbone or ""):
            refuse(f"Mask2Former with timm's {brief(backbone.backbone)}", path)
        yield "output_stride of the backbone", backbone.output_stride or 32, 32
        if backbone.model_type == "swin":
            yield "layer_norm_eps of the backbone", backbone.layer_norm_eps, 1e-5
            yield "hidden_act of the backbone", backbone.hidden_act or "gelu", "gelu"
            yield "use_absolute_embeddings of the backbone", backbone.use_absolute_embeddings, False
        if backbone.model_type == "resnet":
            yield "layer_type of the backbone", backbone.layer_type, "bottleneck"
            yield "hidden_act of the backbone", backbone.hidden_act or "relu", "relu"
            yield "downsample_in_first_stage of the backbone", backbone.downsample_in_first_stage, False
            yield "downsample_in_bottleneck of the backbone", backbone.downsample_in_bottleneck, False

    def facts(self, model: MaskClassifier) -> Iterator[tuple[str, int | None, int]]:
        """Yield facts as `FamilyConfig.facts` does."""
        yield from super().facts(model)
        # transformers counts the prediction before the first layer as a layer.
        yield "decoder layers", self.decoder_layers, len(model.decoder.layers) + 1
        yield "encoder layers", self.encoder_layers, _count_encoder_layers(model)

    def _backbone(self) -> _Backbone:
        """Return the settings of the backbone; transformers 4 writes those of timm's beside those of the model."""
        if self.backbone_config is None and self.use_timm_backbone:
            return msgspec.structs.replace(
                self.backbone_kwargs or _Backbone(), model_type="timm_backbone", backbone=self.backbone
            )
        return self.backbone_config or _Backbone()


def _count_encoder_layers(model: MaskClassifier) -> int:
    return sum(isinstance(module, EncoderLayer) for module in model.modules())
