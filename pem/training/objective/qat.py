"""Quantization-aware training: the losses are those of convolutions in INT8, so that weights learn to be rounded.

What is simulated is what an export to INT8 makes of convolutions, in the coarser of its placements: weights symmetric
per output channel, inputs symmetric per tensor, both in steps of 1/127 of their range. Rounding lets gradients through
as if it were not there, clipping stops them (Jacob et al., "Quantization and training of neural networks for efficient
integer-arithmetic-only inference", CVPR 2018).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from contextlib import ExitStack

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from pem_edge.pem.model import PEM
from pem_edge.pem.training.objective.supervision import Supervised

MOST = 127
"""Steps from zero to the end of a range."""

_LEAST_STEP = 2.0**-100
"""For what is all zero: anything, as long as its inverse is finite."""

_SHARE = 0.9999
"""Of an input's values that are within its range, as calibration has it by default."""

_SAMPLE = 1 << 16
"""Values, more or less, that the range is found from."""

_KEPT = 0.98
"""What the average of an input's range keeps each step: a range follows the last fifty batches."""

_ONE_PIXEL = re.compile(r"pixel_decoder\.(?:modulations\.\d+|context)\.")
"""Modules that see a global average, whose convolutions are left in floating point by an export."""

Convolution = nn.Conv2d | nn.ConvTranspose2d


def convolutions(model: PEM) -> dict[str, Convolution]:
    """Return, by name, the convolutions that an export to INT8 quantizes.

    These are all but deformable ones and those of a single pixel.
    """
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) and not _ONE_PIXEL.match(name)
    }


def quantized_weight(convolution: Convolution) -> Tensor:
    """Return the weight rounded as an export rounds it, in its own shape.

    BatchNorm, which is folded into weights before, need not be looked at: it multiplies an output channel and so that
    channel's step with one number. A transposed convolution of stride 2 is exported as four convolutions, one for each
    parity of output row and column, so each of these has steps of its own.
    """
    weight = convolution.weight
    if not isinstance(convolution, nn.ConvTranspose2d):
        return _rounded_by_channel(weight)
    into, out, rows, columns = weight.shape
    taps = weight.reshape(into, out, rows // 2, 2, columns // 2, 2)  # a row and a column each: which pair, which of it
    phases = taps.permute(1, 3, 5, 0, 2, 4)
    rounded = _rounded_by_channel(phases.flatten(0, 2)).reshape(phases.shape)
    return rounded.permute(3, 0, 4, 1, 5, 2).reshape(weight.shape)


def quantized_input(values: Tensor, reach: Tensor) -> Tensor:
    """Return ``values`` rounded to 256 steps, with ``reach`` () at the 127th; float32, since half would lose steps."""
    zero = torch.zeros((), dtype=torch.int32, device=values.device)
    return torch.fake_quantize_per_tensor_affine(values.float(), _step(reach), zero, -MOST - 1, MOST)


def _rounded_by_channel(weight: Tensor) -> Tensor:
    """Return the axis of output channels comes first."""
    steps = _step(weight.detach().abs().flatten(1).amax(1))
    zeros = torch.zeros_like(steps, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, steps, zeros, 0, -MOST, MOST)


def _step(reach: Tensor) -> Tensor:
    return (reach / MOST).clamp_min(_LEAST_STEP)


class QuantizationAware(nn.Module):
    """Computes ``supervised`` with its model's convolutions in simulated INT8, and leaves it unchanged between calls.

    BatchNorm's statistics stay as they are, because an export folds them into the weights.
    """

    reaches: Tensor
    """The greatest magnitude that each convolution's input is given room for, 0 until one has been seen."""

    def __init__(self, supervised: Supervised) -> None:
        super().__init__()
        self.supervised = supervised
        self.register_buffer("reaches", torch.zeros(len(convolutions(supervised.model))))

    def train(self, mode: bool = True) -> QuantizationAware:
        """Set the mode of all modules but BatchNorm, which stays in evaluation mode."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self

    def forward(self, *batch: object) -> Tensor:
        """Return what `Supervised.forward` returns; in training mode the ranges of inputs follow the batches."""
        chosen = convolutions(self.supervised.model)
        weights = {f"model.{name}.weight": quantized_weight(module) for name, module in chosen.items()}
        with ExitStack() as stack:
            for reach, module in zip(self.reaches, chosen.values(), strict=True):
                stack.enter_context(module.register_forward_pre_hook(self._quantizer(reach)))
            losses: Tensor = functional_call(self.supervised, weights, batch)
        return losses

    def _quantizer(self, reach: Tensor) -> Callable[[nn.Module, tuple[Tensor]], Tensor]:
        """Return a hook on a convolution whose range is ``reach`` (), a view of `reaches`."""

        def quantize(_: nn.Module, inputs: tuple[Tensor]) -> Tensor:
            if self.training:
                _follow(reach, _magnitude(inputs[0]))
            return quantized_input(inputs[0], reach)

        return quantize


@torch.no_grad()
def _follow(reach: Tensor, seen: Tensor) -> None:
    reach.copy_(torch.where(reach > 0, torch.lerp(seen, reach, _KEPT), seen))


def _magnitude(values: Tensor) -> Tensor:
    """Return what `_SHARE` of the values do not exceed, found from some of them that are spread evenly."""
    stride = values.numel() // _SAMPLE | 1  # odd, since sizes are even: no column is met again and again
    sample = values.detach().flatten()[::stride].abs().float()
    return sample.kthvalue(math.ceil(_SHARE * len(sample))).values
