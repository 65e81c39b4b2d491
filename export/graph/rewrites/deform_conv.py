"""Replaces deformable convolutions by one node each: ONNX's DeformConv (opset 19) or the operator of our plugin."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from pem_edge.pem.layers.deform_conv import KERNEL, ModulatedDeformConv

PLUGIN_DOMAIN, PLUGIN_OPERATOR = "pem_edge", "PemDeformConv"
"""ONNX name of our plugin's operator, which takes the inputs and attributes of ONNX's DeformConv."""


def use_deform_conv_node(model: nn.Module, form: Literal["native", "plugin"]) -> None:
    """Replace the deformable convolutions of ``model`` in place. Afterwards it can be traced to ONNX, but not run."""
    operator = NativeDeformConv if form == "native" else PluginDeformConv
    for module in model.modules():
        if isinstance(module, ModulatedDeformConv):
            module.operator = operator()


class NativeDeformConv(nn.Module):
    """A stand-in for `DeformConv2d` that is traced to a single DeformConv node."""

    operator = "DeformConv"
    """ONNX name of the node's operator."""

    def forward(self, data: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """See `pem_edge.pem.layers.deform_conv.DeformConv2d.forward`."""
        # TensorRT's parser does not accept a mask without a bias before it.
        bias = weight.new_zeros(weight.shape[0]) if bias is None else bias
        return torch.onnx.ops.symbolic(
            self.operator,
            (data, weight, offsets, bias, mask),
            {"kernel_shape": [KERNEL, KERNEL], "pads": [KERNEL // 2] * 4, "strides": [1, 1], "dilations": [1, 1]},
            dtype=data.dtype,
            shape=(data.shape[0], weight.shape[0], *data.shape[2:]),
        )


class PluginDeformConv(NativeDeformConv):
    """A stand-in for `DeformConv2d` that is traced to a single node of our TensorRT plugin."""

    operator = f"{PLUGIN_DOMAIN}::{PLUGIN_OPERATOR}"
