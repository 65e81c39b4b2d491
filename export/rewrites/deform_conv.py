"""Put ONNX's DeformConv (opset 19) in the place of GridSample and a product."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pem.deform_conv import KERNEL, ModulatedDeformConv


def use_native_deform_conv(model: nn.Module) -> None:
    """Rewrite ``model`` in place; from then on it can be traced to ONNX, not run."""
    for module in model.modules():
        if isinstance(module, ModulatedDeformConv):
            module.operator = _native


def _native(data: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    # TensorRT's parser wants the bias present when a mask follows it.
    bias = weight.new_zeros(weight.shape[0]) if bias is None else bias
    return torch.onnx.ops.symbolic(
        "DeformConv",
        (data, weight, offsets, bias, mask),
        {"kernel_shape": [KERNEL, KERNEL], "pads": [KERNEL // 2] * 4, "strides": [1, 1], "dilations": [1, 1]},
        dtype=data.dtype,
        shape=(data.shape[0], weight.shape[0], *data.shape[2:]),
    )
