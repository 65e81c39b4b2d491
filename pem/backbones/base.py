"""The interface of a backbone."""

from __future__ import annotations

from torch import Tensor, nn


class Backbone(nn.Module):
    """Turns normalized pixels into four feature maps."""

    channels: tuple[int, int, int, int]
    """Channels of the maps at strides 4, 8, 16 and 32."""

    def train(self, mode: bool = True) -> Backbone:
        """Set the mode of all modules; a backbone none of whose weights learns stays in evaluation mode.

        BatchNorm would follow the images otherwise, and the weights could not follow BatchNorm.
        """
        return super().train(mode and any(parameter.requires_grad for parameter in self.parameters()))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the feature maps at strides 4, 8, 16 and 32 of ``pixels``, float (N, 3, H, W)."""
        raise NotImplementedError
