"""Replaces deformable convolutions by one node each: ONNX's DeformConv (opset 19) or the operator of our plugin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.pem.layers.deform_conv import KERNEL, ModulatedDeformConv
from pem_edge.pem.pixel_decoders.pem import DeformableLevel
from pem_edge.runtime.backends.tensorrt.plugins import operator

_Attributes = dict[str, int | float | str | bool | Sequence[int] | Sequence[float] | Sequence[str] | Sequence[bool]]
_ATTRIBUTES: _Attributes = {
    "kernel_shape": [KERNEL, KERNEL],
    "pads": [KERNEL // 2] * 4,
    "strides": [1, 1],
    "dilations": [1, 1],
}
"""The attributes that both operators have."""

_TILE = 128


def use_deform_conv_node(model: nn.Module, form: Literal["native", "plugin"]) -> None:
    """Replace the deformable convolutions of ``model`` in place. Afterwards it can be traced to ONNX, but not run.

    For ``plugin``, BatchNorm must have been folded before.
    """
    for name, module in list(model.named_modules()):
        if form == "native" and isinstance(module, ModulatedDeformConv):
            module.operator = NativeDeformConv()
        if form == "plugin" and isinstance(module, DeformableLevel):
            model.set_submodule(name, PluginLevel(module))


class NativeDeformConv(nn.Module):
    """A stand-in for `DeformConv2d` that is traced to a single DeformConv node."""

    def forward(self, data: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """See `pem_edge.pem.layers.deform_conv.DeformConv2d.forward`."""
        # TensorRT's parser does not accept a mask without a bias before it.
        bias = weight.new_zeros(weight.shape[0]) if bias is None else bias
        return torch.onnx.ops.symbolic(
            "DeformConv",
            (data, weight, offsets, bias, mask),
            _ATTRIBUTES,
            dtype=data.dtype,
            shape=(data.shape[0], weight.shape[0], *data.shape[2:]),
        )


class PluginLevel(nn.Module):
    """A stand-in for `DeformableLevel`, in which all between the offsets and the upsampling is one node."""

    def __init__(self, level: DeformableLevel) -> None:
        super().__init__()
        self.offsets = level.offsets
        self.deform = PluginDeformConv(level.deform.weight, level.deform.bias)
        self.upsample = level.upsample

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See `DeformableLevel.forward`."""
        x = self.deform(x, self.offsets(x))
        return x, self.upsample(x)


class PluginDeformConv(nn.Module):
    """The sigmoid of the mask, the deformable convolution, and ReLU: a single node of our TensorRT plugin.

    ``weight`` is packed, and ``bias`` a parameter in any case.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """Take the weight (C', C, 3, 3) and the bias (C')."""
        super().__init__()
        bias = weight.new_zeros(weight.shape[0]) if bias is None else bias
        self.weight = nn.Parameter(pack(weight), requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, data: Tensor, raw: Tensor) -> Tensor:
        """Return the output, (N, C', H, W).

        Args:
            data: Input, (N, C, H, W).
            raw: Offsets in pixels, 18 channels, dy and dx of each tap, and then the logits of the mask, 9 channels.
        """
        return torch.onnx.ops.symbolic(
            f"{operator.DOMAIN}::{operator.NAME}",
            (data, self.weight, raw, self.bias),
            {**_ATTRIBUTES, "relu": 1, "plugin_version": operator.VERSION},
            dtype=data.dtype,
            shape=(data.shape[0], self.bias.shape[0], *data.shape[2:]),
        )


def pack(weight: Tensor) -> Tensor:
    """Return a weight (C', C, 3, 3) as our plugin reads it, (taps, rows, columns).

    That is [tap][input channel][output channel], padded with zeros: input channels to a multiple of 128, output
    channels to 64 or to a multiple of 128.
    """
    rows = math.ceil(weight.shape[1] / _TILE) * _TILE
    columns = _TILE // 2 if weight.shape[0] <= _TILE // 2 else math.ceil(weight.shape[0] / _TILE) * _TILE
    packed = weight.flatten(2).permute(2, 1, 0)
    return F.pad(packed, (0, columns - packed.shape[2], 0, rows - packed.shape[1]))
