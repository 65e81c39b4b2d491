"""The whole model, from bytes of an image to class and mask logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pem_edge.pem.backbones import Backbone
from pem_edge.pem.decoder import MaskDecoder
from pem_edge.runtime.artifacts.manifest import MULTIPLE_OF

MEAN = (123.675, 116.280, 103.530)
STD = (58.395, 57.120, 57.375)


class Normalization(nn.Module):
    """uint8 (N, H, W, 3) to float (N, 3, H, W) of mean 0 and deviation 1."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return normalized pixels (N, 3, H, W) of ``images``, uint8 RGB (N, H, W, 3)."""
        return (images.to(self.mean.dtype).permute(0, 3, 1, 2) - self.mean) / self.std


class PEM(nn.Module):
    """A model of any variant: PEM, or of the family it comes from.

    ``pixel_decoder`` turns the backbone's maps, finest first, into mask features (N, M, H/4, W/4) and the maps of
    strides 32, 16 and 8, which ``decoder`` turns into logits and masks.
    """

    def __init__(self, variant: str, backbone: Backbone, pixel_decoder: nn.Module, decoder: MaskDecoder) -> None:
        super().__init__()
        self.variant = variant
        self.normalize = Normalization()
        self.backbone = backbone
        self.pixel_decoder = pixel_decoder
        self.decoder = decoder

    @property
    def num_classes(self) -> int:
        """K, "no object" not counted."""
        return self.decoder.class_head.out_features - 1

    @property
    def num_queries(self) -> int:
        """Q, the most segments the model can find."""
        return self.decoder.query_features.shape[0]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return class logits (N, Q, K+1), the last class "no object", and mask logits (N, Q, H/4, W/4).

        Args:
            images: uint8 RGB (N, H, W, 3), H and W multiples of 32.

        Raises:
            ValueError: If the images have another shape.
        """
        if images.ndim != 4 or images.shape[3] != 3 or images.shape[1] % MULTIPLE_OF or images.shape[2] % MULTIPLE_OF:
            raise ValueError(
                f"images have shape {tuple(images.shape)}, expected (N, H, W, 3), H and W multiples of {MULTIPLE_OF}"
            )
        return self.segment(self.normalize(images))

    def segment(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return everything after `normalize`: float (N, 3, H, W) to logits and masks as `forward` returns them."""
        mask_features, levels = self.pixel_decoder(self.backbone(pixels))
        logits, masks = self.decoder(levels, mask_features)
        return logits, masks
