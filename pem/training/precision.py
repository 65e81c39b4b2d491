"""Whether bfloat16 pays: measured, as processors without it compute it many times slower, and do not say so."""

from __future__ import annotations

import time
from functools import cache

import torch
from torch.nn import functional as F

_LEAST_GAIN = 1.1
"""How many times as fast a convolution must be; less is lost again in conversions."""


@cache
def bf16_pays(device: torch.device) -> bool:
    """Return whether a GPU computes in bfloat16 itself, or a convolution on the CPU is faster in it, by measurement."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return _seconds(torch.float32) > _LEAST_GAIN * _seconds(torch.bfloat16)


def _seconds(dtype: torch.dtype) -> float:
    """Return the shortest time of a convolution, of a few."""
    images, weight = torch.ones(1, 64, 32, 32, dtype=dtype), torch.ones(64, 64, 3, 3, dtype=dtype)
    times = []
    with torch.no_grad():
        for _ in range(5):
            start = time.perf_counter()
            F.conv2d(images, weight, padding=1)
            times.append(time.perf_counter() - start)
    return min(times)
