"""Operators that the published code calls, in place of ours in plain PyTorch."""

from __future__ import annotations

from importlib import import_module

import torch
from torch import Tensor, nn

from pem_edge.pem.layers.deform_conv import ModulatedDeformConv


class TorchvisionDeformConv(nn.Module):
    """`pem.layers.deform_conv.DeformConv2d` by torchvision's operator, which has kernels for CPUs."""

    def forward(self, data: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        bias = weight.new_zeros(len(weight)) if bias is None else bias
        strides, padding, dilation = (1, 1), (1, 1), (1, 1)
        groups, offset_groups, use_mask = 1, 1, True
        output: Tensor = torch.ops.torchvision.deform_conv2d(
            data, weight, offsets, mask, bias, *strides, *padding, *dilation, groups, offset_groups, use_mask
        )
        return output


def use_torchvision(model: nn.Module, library: str) -> None:
    """Make the deformable convolutions of ``model`` call torchvision's operator.

    Args:
        model: Any module, which is changed.
        library: What registers the operator: "torchvision", the package, or the path of a shared library.
    """
    if library == "torchvision":
        import_module(library)
    else:
        torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    for module in model.modules():
        if isinstance(module, ModulatedDeformConv):
            module.operator = TorchvisionDeformConv()
