"""The whole model, from uint8 images to class logits and mask logits."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from pem_edge.pem.backbones import Backbone
from pem_edge.pem.decoder import Decoder, MaskDecoder
from pem_edge.runtime.artifacts.manifest import MULTIPLE_OF, PAD_VALUE, Task

Channels = tuple[float, float, float]
"""A value per channel: red, green, blue."""

MEAN = (123.675, 116.280, 103.530)
"""Mean of ImageNet's pixels, RGB, 0 to 255."""

STD = (58.395, 57.120, 57.375)
"""Standard deviation of ImageNet's pixels, RGB."""


class Normalization(nn.Module):
    """Normalizes images by a mean and a standard deviation per channel, and moves their channels to the front."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Channels = MEAN, std: Channels = STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the normalized pixels, float (N, 3, H, W), of ``images``, uint8 RGB (N, H, W, 3)."""
        return (images.to(self.mean.dtype).permute(0, 3, 1, 2) - self.mean) / self.std


class MaskClassifier(nn.Module):
    """A model whose queries each predict a class and a mask (Cheng et al., "MaskFormer", NeurIPS 2021).

    Use `build` for an untrained model and `load` for a trained one.

    Example:
        >>> import torch
        >>> from pem_edge import pem
        >>> model = pem.load("demo")
        >>> logits, masks = model(torch.zeros(1, 256, 512, 3, dtype=torch.uint8))
        >>> model.num_classes, model.multiple_of
        (15, 32)

    Attributes:
        variant: Name of the variant, as in `VARIANTS`.
        multiple_of: What heights and widths of images are multiples of.
        pad_value: The color, RGB, of the padding that the published weights were trained with.
        sizes_vary: Whether one graph can take images of several sizes.
        windowed: The tasks whose published weights were trained on windows of images, to run on windows that slide over
            an image.
        normalize: Turns uint8 images into normalized pixels.
        backbone: Turns pixels into features.
        decoder: Turns features into class logits and mask logits.
    """

    multiple_of: ClassVar[int] = MULTIPLE_OF
    pad_value: ClassVar[tuple[int, int, int]] = PAD_VALUE
    sizes_vary: ClassVar[bool] = True
    windowed: ClassVar[tuple[Task, ...]] = ()

    def __init__(self, variant: str, backbone: nn.Module, decoder: Decoder) -> None:
        super().__init__()
        self.variant = variant
        self.normalize = Normalization()
        self.backbone = backbone
        self.decoder = decoder

    @property
    def num_classes(self) -> int:
        """The number K of classes, without "no object"."""
        return self.decoder.class_head.out_features - 1

    @property
    def num_queries(self) -> int:
        """The number Q of queries: the maximum number of segments that the model can find in an image."""
        return self.decoder.query_features.shape[0]

    @property
    def trained_size(self) -> tuple[int, int] | None:
        """The size, height and width in pixels, that positions were learned for; None if no positions are learned."""
        return None

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the class logits and mask logits of every query.

        Args:
            images: uint8 RGB (N, H, W, 3), H and W multiples of `multiple_of`.

        Returns:
            Class logits (N, Q, K+1), the last class being "no object", and mask logits (N, Q, H/4, W/4).

        Raises:
            ValueError: If the images have another shape.
        """
        multiple = self.multiple_of
        if images.ndim != 4 or images.shape[3] != 3 or images.shape[1] % multiple or images.shape[2] % multiple:
            raise ValueError(
                f"images have shape {tuple(images.shape)}, expected (N, H, W, 3), H and W multiples of {multiple}"
            )
        return self.segment(self.normalize(images))

    def segment(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `forward` returns, from ``pixels`` that are already normalized, float (N, 3, H, W)."""
        raise NotImplementedError


class PEM(MaskClassifier):
    """PEM, Mask2Former or PRO-SCALE; see `MaskClassifier`.

    Attributes:
        pixel_decoder: Turns the backbone's maps, at strides 4, 8, 16 and 32, into mask features (N, M, H/4, W/4) and
            level maps at strides 32, 16 and 8.
    """

    backbone: Backbone
    decoder: MaskDecoder
    pixel_decoder: nn.Module

    def __init__(self, variant: str, backbone: Backbone, pixel_decoder: nn.Module, decoder: MaskDecoder) -> None:
        super().__init__(variant, backbone, decoder)
        self.pixel_decoder = pixel_decoder

    def segment(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `forward` returns, from ``pixels`` that are already normalized, float (N, 3, H, W)."""
        mask_features, levels = self.pixel_decoder(self.backbone(pixels))
        logits, masks = self.decoder(levels, mask_features)
        return logits, masks
