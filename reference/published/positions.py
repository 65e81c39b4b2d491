"""Sine positions as the published code computes them."""

from __future__ import annotations

import torch
from torch import Tensor


def sine_positions(level: Tensor, channels: int, temperature: float = 10000.0) -> Tensor:
    ones = torch.ones(level.shape[0], *level.shape[2:], device=level.device)
    y, x = ones.cumsum(1), ones.cumsum(2)
    y = y / (y[:, -1:, :] + 1e-6) * 2 * torch.pi
    x = x / (x[:, :, -1:] + 1e-6) * 2 * torch.pi
    index = torch.arange(channels // 2, dtype=torch.float32, device=level.device)
    divisor = temperature ** (2 * torch.div(index, 2, rounding_mode="floor") / (channels // 2))
    halves = []
    for coordinate in (y, x):
        phases = coordinate[..., None] / divisor
        halves.append(torch.stack([phases[..., 0::2].sin(), phases[..., 1::2].cos()], dim=4).flatten(3))
    return torch.cat(halves, dim=3).permute(0, 3, 1, 2).to(level.dtype)
