"""Put one node in the place of GridSample and a product: ONNX's DeformConv (opset 19) or our plugin's operator."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from pem_edge.pem.layers.deform_conv import KERNEL, ModulatedDeformConv

PLUGIN_DOMAIN, PLUGIN_OPERATOR = "pem_edge", "PemDeformConv"
"""The plugin's operator takes the inputs and attributes of ONNX's DeformConv."""


def use_deform_conv_node(model: nn.Module, form: Literal["native", "plugin"]) -> None:
    """Rewrite ``model`` in place; from then on it can be traced to ONNX, not run."""
    operator = NativeDeformConv if form == "native" else PluginDeformConv
    for module in model.modules():
        if isinstance(module, ModulatedDeformConv):
            module.operator = operator()


class NativeDeformConv(nn.Module):
    """Called as `pem.layers.deform_conv.DeformConv2d`; becomes the node ``operator`` when traced."""

    operator = "DeformConv"

    def forward(self, data: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        # TensorRT's parser wants the bias present when a mask follows it.
        """See `DeformConv2d.forward`."""
        bias = weight.new_zeros(weight.shape[0]) if bias is None else bias
        return torch.onnx.ops.symbolic(
            self.operator,
            (data, weight, offsets, bias, mask),
            {"kernel_shape": [KERNEL, KERNEL], "pads": [KERNEL // 2] * 4, "strides": [1, 1], "dilations": [1, 1]},
            dtype=data.dtype,
            shape=(data.shape[0], weight.shape[0], *data.shape[2:]),
        )


class PluginDeformConv(NativeDeformConv):
    """The same as a node of our own TensorRT plugin."""

    operator = f"{PLUGIN_DOMAIN}::{PLUGIN_OPERATOR}"
