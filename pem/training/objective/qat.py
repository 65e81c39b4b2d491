"""Quantization-aware training: computes the losses with convolutions in simulated INT8, so that weights adapt to it.

The simulation matches what an export to INT8 does to convolutions: weights are quantized symmetrically per output
channel and inputs symmetrically per tensor, both in steps of 1/127 of their range. Gradients pass through rounding
unchanged and are zero where values are clipped (Jacob et al., "Quantization and training of neural networks for
efficient integer-arithmetic-only inference", CVPR 2018).
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

MAX_LEVEL = 127
"""Number of quantization steps from zero to the end of a range."""

_MIN_STEP = 2.0**-100
"""Minimum step, for tensors that are all zero; its inverse must be finite."""

_FRACTION = 0.9999
"""Fraction of an input's values that are within its range, the default of calibration."""

_SAMPLE_SIZE = 1 << 16
"""Approximate number of values from which the range of an input is computed."""

_DECAY = 0.98
"""Decay of the moving average of an input's range, which thus covers about the last fifty batches."""

_ONE_PIXEL = re.compile(r"pixel_decoder\.(?:modulations\.\d+|context)\.")
"""Matches modules that process a global average, whose convolutions an export leaves in floating point."""

Convolution = nn.Conv2d | nn.ConvTranspose2d


def find_convolutions(model: PEM) -> dict[str, Convolution]:
    """Return the convolutions that an export to INT8 quantizes, by name.

    These are all except deformable convolutions and those of a global average.
    """
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) and not _ONE_PIXEL.match(name)
    }


def quantize_weight(convolution: Convolution) -> Tensor:
    """Return the weight of ``convolution``, rounded as an export rounds it.

    An export folds BatchNorm into the weight before it rounds, which gives the same result: BatchNorm multiplies an
    output channel, and with it the step of that channel, by a constant. A transposed convolution of stride 2 is
    exported as four convolutions, one for each parity of output row and column, which have steps of their own.
    """
    weight = convolution.weight
    if not isinstance(convolution, nn.ConvTranspose2d):
        return _round_by_channel(weight)
    inputs, outputs, rows, columns = weight.shape
    pairs = weight.reshape(inputs, outputs, rows // 2, 2, columns // 2, 2)
    phases = pairs.permute(1, 3, 5, 0, 2, 4)  # output channel, row parity, column parity, then one phase's weights
    rounded = _round_by_channel(phases.flatten(0, 2)).reshape(phases.shape)
    return rounded.permute(3, 0, 4, 1, 5, 2).reshape(weight.shape)


def quantize_input(values: Tensor, reach: Tensor) -> Tensor:
    """Return ``values`` rounded to one of 256 levels, of which level 127 is ``reach``.

    Args:
        values: A tensor of any shape.
        reach: Maximum magnitude, a scalar.

    Returns:
        The rounded values, float32, because half precision cannot represent all levels.
    """
    zero = torch.zeros((), dtype=torch.int32, device=values.device)
    return torch.fake_quantize_per_tensor_affine(values.float(), _step(reach), zero, -MAX_LEVEL - 1, MAX_LEVEL)


def _round_by_channel(weight: Tensor) -> Tensor:
    """Return ``weight``, whose first axis is the output channels, rounded with a step per output channel."""
    steps = _step(weight.detach().abs().flatten(1).amax(1))
    zeros = torch.zeros_like(steps, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, steps, zeros, 0, -MAX_LEVEL, MAX_LEVEL)


def _step(reach: Tensor) -> Tensor:
    return (reach / MAX_LEVEL).clamp_min(_MIN_STEP)


class QuantizationAware(nn.Module):
    """A module around `Supervised` that computes its losses with the model's convolutions in simulated INT8.

    The model itself is unchanged outside of ``forward``. BatchNorm's statistics are not updated, because an export
    folds them into the weights.
    """

    reaches: Tensor
    """Maximum magnitude of each convolution's input beyond which it is clipped; 0 before the first batch."""

    def __init__(self, supervised: Supervised) -> None:
        super().__init__()
        self.supervised = supervised
        self.register_buffer("reaches", torch.zeros(len(find_convolutions(supervised.model))))

    def train(self, mode: bool = True) -> QuantizationAware:
        """Set the mode of all modules except BatchNorm, which stays in evaluation mode."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self

    def forward(self, *batch: object) -> Tensor:
        """Return the losses; arguments as in `Supervised.forward`. In training mode, update the ranges of inputs."""
        chosen = find_convolutions(self.supervised.model)
        weights = {f"model.{name}.weight": quantize_weight(module) for name, module in chosen.items()}
        with ExitStack() as stack:
            for reach, module in zip(self.reaches, chosen.values(), strict=True):
                stack.enter_context(module.register_forward_pre_hook(self._quantizer(reach)))
            losses: Tensor = functional_call(self.supervised, weights, batch)
        return losses

    def _quantizer(self, reach: Tensor) -> Callable[[nn.Module, tuple[Tensor]], Tensor]:
        """Return a hook that quantizes a convolution's input; ``reach``, a view of `reaches`, is its range."""

        def quantize(_: nn.Module, inputs: tuple[Tensor]) -> Tensor:
            if self.training:
                _update_range(reach, _magnitude(inputs[0]))
            return quantize_input(inputs[0], reach)

        return quantize


@torch.no_grad()
def _update_range(reach: Tensor, magnitude: Tensor) -> None:
    reach.copy_(torch.where(reach > 0, torch.lerp(magnitude, reach, _DECAY), magnitude))


def _magnitude(values: Tensor) -> Tensor:
    """Return the magnitude that `_FRACTION` of the values do not exceed, computed from an evenly spaced sample."""
    stride = values.numel() // _SAMPLE_SIZE | 1  # odd, as widths are even: an even stride could skip columns
    sample = values.detach().flatten()[::stride].abs().float()
    return sample.kthvalue(math.ceil(_FRACTION * len(sample))).values
