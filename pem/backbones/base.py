"""What the pixel decoder asks of a backbone."""

from __future__ import annotations

from torch import Tensor, nn


class Backbone(nn.Module):
    """``channels`` of the maps at strides 4, 8, 16, 32; ``forward`` turns (N, 3, H, W) into these four maps."""

    channels: tuple[int, int, int, int]

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return feature maps of ``pixels``, finest first."""
        raise NotImplementedError
