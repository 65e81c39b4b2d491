"""Sample by gathering pixels, in place of GridSample, which some releases of TensorRT compute wrongly.

The channels of a pixel lie next to each other, so that one index fetches a row of them. Around each map there is a
border of zeros, one pixel wide. Locations outside the map are moved onto it, so that each has four corners.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.pem.layers.deform_conv import ModulatedDeformConv, tap_locations
from pem_edge.pem.layers.deformable_attention import DeformableAttention, LevelSize, pixel_centers

Corners = tuple[Tensor, list[Tensor]]
"""For each sample, the row of its upper left corner, int32, and the weights of its upper left, upper right, lower left
and lower right corner, all of one shape."""


def use_gathers(model: nn.Module) -> None:
    """Replace the operators of the deformable convolutions and attentions of ``model``, in place."""
    for module in model.modules():
        if isinstance(module, ModulatedDeformConv):
            module.operator = GatherDeformConv()
        elif isinstance(module, DeformableAttention):
            module.operator = GatherSampling()


class GatherDeformConv(nn.Module):
    """Called as `DeformConv2d`: gathers the samples, then multiplies them with the weights in one matrix product."""

    def __init__(self) -> None:
        super().__init__()
        self.corners = TapCorners()

    def forward(self, data: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """See `pem_edge.pem.layers.deform_conv.DeformConv2d.forward`."""
        samples = _sample(data.permute(0, 2, 3, 1).unsqueeze(3), self.corners(offsets, mask))
        output = samples.flatten(3) @ weight.permute(2, 3, 1, 0).flatten(0, 2)
        return (output if bias is None else output + bias).permute(0, 3, 1, 2)


class TapCorners(nn.Module):
    """Finds the corners of the samples of a deformable convolution."""

    def forward(self, offsets: Tensor, mask: Tensor) -> Corners:
        """Return the corners, (N, H, W, 9), weighted with ``mask``; see `DeformConv2d.forward` for the arguments."""
        y, x = (locations.permute(0, 2, 3, 1) for locations in tap_locations(offsets))
        return _corners(y, x, (offsets.shape[2], offsets.shape[3]), mask.permute(0, 2, 3, 1))


class GatherSampling(nn.Module):
    """Called as `DeformableSampling`: gathers the samples, one level after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.corners = PointCorners()

    def forward(self, values: Tensor, offsets: Tensor, logits: Tensor, sizes: Sequence[LevelSize]) -> Tensor:
        """See `DeformableSampling.forward`."""
        levels = torch.split(values, [height * width for height, width in sizes], 1)
        samples = (
            _sample(level.reshape(level.shape[0], *size, *level.shape[2:]), corners)
            for level, size, corners in zip(levels, sizes, self.corners(offsets, logits, sizes), strict=True)
        )
        return reduce(torch.add, samples).sum(3).flatten(2)


class PointCorners(nn.Module):
    """Finds the corners of the samples of deformable attention."""

    def forward(self, offsets: Tensor, logits: Tensor, sizes: Sequence[LevelSize]) -> list[Corners]:
        """Return the corners on each level, (N, S, heads, points); see `DeformableSampling.forward` for the arguments.

        They are weighted with the attention, and the row of a pixel is that of its part for the head.
        """
        attention = logits.softmax(-1).reshape(offsets.shape[:5])
        centers = (pixel_centers(sizes, offsets)[:, None, None] + 1) / 2
        heads = torch.arange(offsets.shape[2], dtype=torch.int32, device=offsets.device)[:, None]
        found = []
        for level, (height, width) in enumerate(sizes):
            x, y = (
                offsets[:, :, :, level, :, axis] + (centers[..., axis] * side - 0.5)
                for axis, side in enumerate((width, height))
            )
            pixels, weights = _corners(y, x, (height, width), attention[:, :, :, level])
            found.append((pixels * len(heads) + heads, weights))
        return found


def _corners(y: Tensor, x: Tensor, size: LevelSize, factor: Tensor) -> Corners:
    """Return the corners of the samples at rows ``y`` and columns ``x`` of maps of ``size``.

    Args:
        y: Rows in pixels; the first of the four dimensions is that of the maps.
        x: Columns in pixels, of the same shape.
        size: Height and width of the maps without their border.
        factor: What the weights are multiplied with.
    """
    (top, above), (left, before) = (_nearest(place, side) for place, side in zip((y, x), size, strict=True))
    maps = torch.arange(y.shape[0], dtype=torch.int32, device=y.device)[:, None, None, None]
    rows = (maps * (size[0] + 2) + top) * (size[1] + 2) + left
    above, below = above * factor, (1 - above) * factor
    return rows, [above * before, above * (1 - before), below * before, below * (1 - before)]


def _nearest(places: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return, along one axis, the pixel before each place, int32, counted from the border, and its weight.

    The weight of the pixel after it is the rest of 1. No place makes an index that is outside, not even NaN, for which
    the comparison is false.
    """
    inside = torch.where(places > -1, places, side).clamp(max=side)
    after = inside.ceil()
    return after.int(), after - inside


def _sample(maps: Tensor, corners: Corners) -> Tensor:
    """Return weighted bilinear samples, (..., C), of ``maps``, (N, H, W, groups, C), whose rows are its groups."""
    upper_left, weights = corners
    right = maps.shape[3]
    below = right * (maps.shape[2] + 2)
    rows = F.pad(maps, (0, 0, 0, 0, 1, 1, 1, 1)).flatten(0, 3)
    indices = (upper_left, upper_left + right, upper_left + below, upper_left + (below + right))
    samples = (F.embedding(index, rows) * weight.unsqueeze(-1) for index, weight in zip(indices, weights, strict=True))
    return reduce(torch.add, samples)
