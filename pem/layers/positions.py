"""Normalized sine position encoding (Carion et al., "End-to-End Object Detection with Transformers", ECCV 2020)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

TEMPERATURE = 10000.0
"""Base of the geometric progression of wavelengths, as published."""

EPSILON = 1e-6
"""Added to a length before dividing by it, as published."""


def sine_positions(height: int, width: int, channels: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the position encoding of a map, split into a part for rows and one for columns.

    The encoding is the sum of both parts: the first half of the channels depends on the row alone and the second half
    on the column alone. Separately they are C (H + W) numbers instead of C H W.

    Args:
        height: Height H of the map.
        width: Width W of the map.
        channels: Number C of channels, a multiple of 4.
        device: The device to compute on.

    Returns:
        The parts for rows, (1, C, H, 1), and for columns, (1, C, 1, W), float32.
    """
    rows, columns = _encode(height, channels // 2, device), _encode(width, channels // 2, device)
    return (
        torch.cat([rows, torch.zeros_like(rows)])[None, :, :, None],
        torch.cat([torch.zeros_like(columns), columns])[None, :, None, :],
    )


def _encode(length: int, channels: int, device: torch.device) -> Tensor:
    """Return the encoding of positions 1 to L, (C, L): sines in even channels and cosines in odd ones."""
    position = torch.arange(1, length + 1, dtype=torch.float32, device=device)
    angle = position / (length + EPSILON) * (2 * math.pi)
    pair = torch.arange(channels // 2, dtype=torch.float32, device=device)
    phases = angle / (TEMPERATURE ** (2 * pair / channels))[:, None]
    return torch.stack([phases.sin(), phases.cos()], dim=1).flatten(0, 1)
