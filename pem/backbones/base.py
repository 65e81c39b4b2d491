"""The interface of a backbone."""

from __future__ import annotations

from torch import Tensor, nn


class Backbone(nn.Module):
    """Turns normalized pixels into four feature maps."""

    channels: tuple[int, int, int, int]
    """Channels of the maps at strides 4, 8, 16 and 32."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the feature maps at strides 4, 8, 16 and 32 of ``pixels``, float (N, 3, H, W)."""
        raise NotImplementedError
