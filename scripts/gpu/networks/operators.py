"""The plugin's kernels as an operator of PyTorch, which torch.compile and CUDA graphs take as it is."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.export.graph.rewrites.deform_conv import PluginLevel, use_deform_conv_node
from pem_edge.pem.layers.deform_conv import TAPS
from scripts.gpu.devices.device import Device
from scripts.gpu.harness import Attributes, Buffer, Plugin

RAW = 3 * TAPS
_PADDING = -RAW % 8
_open: dict[str, tuple[Plugin, Device]] = {}
"""What the operator calls, by the path of the library: an operator of `torch.library` can hold nothing."""


def use_kernels(model: nn.Module, library: Path, device: Device, *, half: bool) -> None:
    """Compute what is the plugin's node in an exported graph by the kernels of ``library``; in place.

    BatchNorm must have been folded before. A library stays open, on the device with which it was first given.

    Raises:
        RuntimeError: If the library is open on another device.
    """
    key = _opened(library, device)
    use_deform_conv_node(model, "plugin")
    for level in model.modules():
        if isinstance(level, PluginLevel):
            level.register_module("deform", KernelDeformConv(level.deform.weight, level.deform.bias, key))
            if half:  # kHWC8 has room for 32 channels, which the convolution fills in one go
                level.offsets = _padded(level.offsets)


class KernelDeformConv(nn.Module):
    """The plugin's node, see `PluginDeformConv`; in half, ``raw`` has 32 channels, the last 5 of anything."""

    def __init__(self, weight: Tensor, bias: nn.Parameter, library: str) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight.contiguous(), requires_grad=False), bias
        self._library = library

    def forward(self, data: Tensor, raw: Tensor) -> Tensor:
        """See `PluginDeformConv.forward`."""
        result: Tensor = deform_conv(data, self.weight, raw, self.bias, self._library)
        return result


@torch.library.custom_op("pem_edge::deform_conv", mutates_args=())
def deform_conv(x: Tensor, weight: Tensor, raw: Tensor, bias: Tensor, library: str) -> Tensor:
    """Enqueue the kernels of an open library on PyTorch's stream.

    Tensors are as in `KernelDeformConv`, float32 or float16.
    """
    plugin, device = _open[library]
    half = x.dtype == torch.float16
    x, raw = (each.contiguous(memory_format=_layout(x)) for each in (x, raw))
    y = _empty(x, bias)
    shapes = [x.shape, weight.shape, (len(raw), RAW, *raw.shape[2:]), bias.shape, y.shape]
    tensors = zip((x, weight, raw, bias, y), shapes, strict=True)
    buffers = [Buffer(tensor.data_ptr(), tuple(shape)) for tensor, shape in tensors]
    plugin.enqueue(buffers, device.stream(), half=half, hwc8=half)
    return y


@deform_conv.register_fake
def _(x: Tensor, weight: Tensor, raw: Tensor, bias: Tensor, library: str) -> Tensor:  # noqa: ARG001
    return _empty(x, bias)


def _opened(library: Path, device: Device) -> str:
    """Return the key of a library in `_open`, where it is put if it is not there."""
    if str(library) not in _open:
        _open[str(library)] = Plugin(library, Attributes(relu=True)), device
    if _open[str(library)][1] is not device:
        raise RuntimeError(f"{library} is open on another device, expected the same one: compile it for each device")
    return str(library)


def _padded(convolution: nn.Conv2d) -> nn.Conv2d:
    padded = nn.Conv2d(convolution.in_channels, RAW + _PADDING, convolution.kernel_size, padding=convolution.padding)  # type: ignore[arg-type]
    assert convolution.bias is not None
    padded.weight = nn.Parameter(F.pad(convolution.weight, (0, 0, 0, 0, 0, 0, 0, _PADDING)), requires_grad=False)
    padded.bias = nn.Parameter(F.pad(convolution.bias, (0, _PADDING)), requires_grad=False)
    return padded


def _empty(x: Tensor, bias: Tensor) -> Tensor:
    shape = (x.shape[0], bias.shape[0], *x.shape[2:])
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=_layout(x))


def _layout(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.dtype == torch.float16 else torch.contiguous_format
