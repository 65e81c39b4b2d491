"""Folds every BatchNorm that follows a convolution into the weight and bias of the convolution."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from pem_edge.pem.layers.blocks import ConvNorm
from pem_edge.pem.pixel_decoders.pem import DeformableLevel, Upsample

_CONVOLUTION = {ConvNorm: "conv", Upsample: "conv", DeformableLevel: "deform"}
"""Classes of blocks whose ``bn`` follows a convolution, and the attribute that holds the convolution."""


def fold_batchnorm(model: nn.Module) -> None:
    """Fold every BatchNorm of ``model`` that follows a convolution, in place; the model must be in eval mode."""
    for block in model.modules():
        for kind, name in _CONVOLUTION.items():
            if isinstance(block, kind):
                _fold(block, name)


def _fold(block: nn.Module, name: str) -> None:
    convolution, bn = block.get_submodule(name), block.get_submodule("bn")
    if not isinstance(bn, nn.BatchNorm2d):
        return
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.get_parameter("weight"),
        getattr(convolution, "bias", None),
        bn.get_buffer("running_mean"),
        bn.get_buffer("running_var"),
        bn.eps,
        bn.weight,
        bn.bias,
        transpose=isinstance(convolution, nn.ConvTranspose2d),
    )
    block.register_module("bn", nn.Identity())
