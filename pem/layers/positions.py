"""Sine position encoding (Carion et al., DETR, 2020), normalized, temperature 10000."""

from __future__ import annotations

import math

import torch
from torch import Tensor

TEMPERATURE = 10000.0
EPSILON = 1e-6


def sine_positions(height: int, width: int, channels: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the encoding as two float32 summands, (1, C, H, 1) for rows and (1, C, 1, W) for columns.

    The first half of the channels depends on the row alone, the second on the column alone; kept apart, they are
    C (H + W) numbers instead of C H W.
    """
    rows, columns = _encode(height, channels // 2, device), _encode(width, channels // 2, device)
    return (
        torch.cat([rows, torch.zeros_like(rows)])[None, :, :, None],
        torch.cat([torch.zeros_like(columns), columns])[None, :, None, :],
    )


def _encode(length: int, channels: int, device: torch.device) -> Tensor:
    """Return (C, L): sines in even channels, cosines in odd ones."""
    place = torch.arange(1, length + 1, dtype=torch.float32, device=device)
    angle = place / (length + EPSILON) * (2 * math.pi)
    pair = torch.arange(channels // 2, dtype=torch.float32, device=device)
    phases = angle / (TEMPERATURE ** (2 * pair / channels))[:, None]
    return torch.stack([phases.sin(), phases.cos()], dim=1).flatten(0, 1)
