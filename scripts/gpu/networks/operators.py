"""The plugin's kernels as an operator of PyTorch, which torch.compile and CUDA graphs take as it is."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.pem.layers.deform_conv import TAPS
from pem_edge.pem.pixel_decoders.pem import DeformableLevel
from reference.deform_conv_cases import pack
from scripts.gpu.devices.device import Device
from scripts.gpu.harness import Attributes, Buffer, Plugin

RAW = 3 * TAPS
_PADDING = -RAW % 8
_open: dict[str, tuple[Plugin, Device]] = {}


def use_kernels(model: nn.Module, library: Path, device: Device, *, half: bool) -> None:
    """Have the deformable levels of ``model``, whose BatchNorm is folded, call the kernels of ``library``; in place."""
    _open["kernels"] = Plugin(library, Attributes(relu=True)), device
    for name, level in [*model.named_modules()]:
        if isinstance(level, DeformableLevel):
            parent, _, child = name.rpartition(".")
            model.get_submodule(parent).register_module(child, KernelLevel(level, half=half))


class KernelLevel(nn.Module):
    """A deformable level of which the kernel computes all but the convolutions before and after it."""

    def __init__(self, level: DeformableLevel, *, half: bool) -> None:
        super().__init__()
        padding = _PADDING if half else 0  # kHWC8 has room for 32 channels, which the convolution fills in one go
        offsets = level.offsets
        assert offsets.bias is not None
        assert level.deform.bias is not None
        self.register_buffer("raw_weight", F.pad(offsets.weight.detach(), (0, 0, 0, 0, 0, 0, 0, padding)))
        self.register_buffer("raw_bias", F.pad(offsets.bias.detach(), (0, padding)))
        self.register_buffer("weight", torch.from_numpy(pack(level.deform.weight.detach().numpy())))
        self.register_buffer("bias", level.deform.bias.detach())
        self.upsample = level.upsample

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See `DeformableLevel.forward`."""
        raw = F.conv2d(x, self.get_buffer("raw_weight"), self.get_buffer("raw_bias"), padding=1)
        x = deform_conv(x, self.get_buffer("weight"), raw, self.get_buffer("bias"))
        return x, self.upsample(x)


@torch.library.custom_op("pem_edge::deform_conv", mutates_args=())
def deform_conv(x: Tensor, weight: Tensor, raw: Tensor, bias: Tensor) -> Tensor:
    """Return the deformable convolution of ``x``, and ReLU of that, by the kernels.

    Args:
        x: The input, (N, C, H, W), float32 or float16.
        weight: The weight as `pack` returns it.
        raw: Offsets and logits of the mask, (N, 27, H, W); in half 32, of which the last 5 may hold anything.
        bias: The bias, (C').
    """
    plugin, device = _open["kernels"]
    half = x.dtype == torch.float16
    x, raw = (each.contiguous(memory_format=_layout(x)) for each in (x, raw))
    y = _empty(x, bias)
    shapes = [x.shape, weight.shape, (len(raw), RAW, *raw.shape[2:]), bias.shape, y.shape]
    buffers = [
        Buffer(tensor.data_ptr(), tuple(shape)) for tensor, shape in zip((x, weight, raw, bias, y), shapes, strict=True)
    ]
    plugin.enqueue(buffers, device.stream(), half=half, hwc8=half)
    return y


@deform_conv.register_fake
def _(x: Tensor, weight: Tensor, raw: Tensor, bias: Tensor) -> Tensor:  # noqa: ARG001
    return _empty(x, bias)


def _empty(x: Tensor, bias: Tensor) -> Tensor:
    return torch.empty(
        (x.shape[0], bias.shape[0], *x.shape[2:]), dtype=x.dtype, device=x.device, memory_format=_layout(x)
    )


def _layout(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.dtype == torch.float16 else torch.contiguous_format
