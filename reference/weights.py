"""Weights that hide no part of a module."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)

_CERTAINTY = 20.0
"""Standard deviation of class logits: most queries then have one class of a probability close to 1."""


def randomized(module: Module, seed: int = 0) -> Module:
    """Return the module in eval mode, with every tensor random.

    Fresh ones have zero offsets, and statistics that do nothing.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith("running_var"):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
            elif tensor.ndim == 1 and tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.2 + 1)
            elif tensor.is_floating_point():
                fan_in = max(1, tensor[0].numel())
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * fan_in**-0.5)
    return module.eval()


def make_certain(head: nn.Module, class_logits: Callable[[], Tensor], certain: int) -> None:
    """Make some queries certain of a class, and the others of none, as those of trained models are.

    Args:
        head: The linear layer of the classes, the last of which is "no object"; its weights are replaced.
        class_logits: Computes with them class logits (Q, K+1), whose strongest are then certain.
        certain: How many queries are to be certain, less than Q.
    """
    weight, bias = head.get_parameter("weight"), head.get_parameter("bias")
    directions = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        weight.copy_(_CERTAINTY * directions / directions.norm(dim=1, keepdim=True))
        weight[-1] = bias.zero_()[-1]
        strongest = class_logits()[:, :-1].amax(1).sort(descending=True).values
        bias[-1] = strongest[certain - 1 : certain + 1].mean()
