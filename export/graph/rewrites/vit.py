"""Make a Vision Transformer's graph smaller: what its weights can take over is no node of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pem_edge.export.graph.operation_forms import AttentionForm
from pem_edge.pem import MaskClassifier
from pem_edge.pem.backbones.vit import PATCH, Grid, VisionTransformer, grid_of
from pem_edge.pem.layers.attention import split_heads
from pem_edge.pem.layers.vit_block import MultiHeadAttention, ViTBlock
from pem_edge.pem.model import Normalization


def fold_layer_scales(model: nn.Module) -> None:
    """Multiply the factors of every LayerScale into the linear layer before it, in place."""
    for block in _blocks(model):
        for linear, name in ((block.output, "scale1"), (block.contract, "scale2")):
            gamma = block.get_submodule(name).get_parameter("gamma")
            linear.weight = nn.Parameter(linear.weight * gamma[:, None])
            linear.bias = nn.Parameter(linear.bias * gamma)
            block.set_submodule(name, nn.Identity())


def balance_norms(model: nn.Module) -> None:
    """Share ranges of channels evenly between every LayerNorm of a block and the linear layer after it, in place.

    Some channels of trained Vision Transformers are many times as large as others, and INT8, with one scale for a
    tensor, would have few levels left for these. A factor per channel moves the difference into the weights, which
    have a scale for each output (SmoothQuant, Xiao et al., ICML 2023, with an exponent of 1/2). The range of a channel
    is read from the norm: normalized values seldom exceed three deviations. All graphs get this, as it is exact: one
    trace serves INT8 and the precision that INT8 is compared with.
    """
    for block in _blocks(model):
        for norm, linear in ((block.norm1, block.qkv), (block.norm2, block.expand)):
            ranges = 3 * norm.weight.abs() + norm.bias.abs()
            factors = (ranges / linear.weight.abs().amax(0)).sqrt()
            factors = torch.where(torch.isfinite(factors) & (factors > 0), factors, 1.0)
            norm.weight, norm.bias = nn.Parameter(norm.weight / factors), nn.Parameter(norm.bias / factors)
            linear.weight = nn.Parameter(linear.weight * factors)


def fold_patches(model: MaskClassifier, size: tuple[int, int] | None) -> None:
    """Fold the normalization, the bias and the positions into the patch embedding of ``model``, in place.

    The model then takes images of ``size``, height and width in pixels, alone; None is the size that the positions were
    learned for. The embedding has no padding, so that the normalization, which is linear, can be part of it. Models
    without learned positions stay as they are.
    """
    backbone = model.backbone
    fixed = size or model.trained_size
    if isinstance(backbone, VisionTransformer) and fixed is not None:
        backbone.set_submodule("patches", RawPatches(backbone, model.normalize, grid_of(*fixed)))
        backbone.set_submodule("positions", _Added())
        model.set_submodule("normalize", _ChannelsFirst())


def has_attention(model: nn.Module) -> bool:
    """Return whether ``model`` has attention of which there are several forms."""
    return bool(_blocks(model))


def use_attention(model: nn.Module, form: AttentionForm) -> None:
    """Replace the attention of every block of a Vision Transformer by ``form``, in place.

    The scale of the attention logits becomes part of the projection of the queries.
    """
    kind = PlainAttention if form == "standard" else FusedAttention
    for block in _blocks(model):
        heads, width = block.attention.heads, block.output.in_features
        factors = torch.ones(3 * width)
        factors[:width] = (width // heads) ** -0.5
        block.qkv.weight = nn.Parameter(block.qkv.weight * factors[:, None])
        block.qkv.bias = nn.Parameter(block.qkv.bias * factors)
        block.attention = kind(heads, scale=1.0)


def _blocks(model: nn.Module) -> list[ViTBlock]:
    return [module for module in model.modules() if isinstance(module, ViTBlock)]


class PlainAttention(MultiHeadAttention):
    """Attention of queries that are already scaled, as the nodes that inference engines recognize and fuse."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return what `MultiHeadAttention.forward` returns."""
        keys = k.reshape(*k.shape[:2], self.heads, -1).permute(0, 2, 3, 1)
        logits = split_heads(q, self.heads) @ keys
        attended: Tensor = logits.softmax(-1) @ split_heads(v, self.heads)
        return attended.transpose(1, 2).flatten(2)


class FusedAttention(MultiHeadAttention):
    """Attention of queries that are already scaled, as one node, which never holds all attention logits."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return what `MultiHeadAttention.forward` returns."""
        if not torch.compiler.is_exporting():
            return super().forward(q, k, v)
        return torch.onnx.ops.symbolic(
            "com.microsoft::MultiHeadAttention",
            (q, k, v),
            {"num_heads": self.heads, "scale": 1.0},
            dtype=q.dtype,
            shape=q.shape,
            version=1,
        )


class RawPatches(nn.Module):
    """Turns each patch of an image that is not normalized into a token with its position, by one matrix product."""

    positions: Tensor
    """Positions and bias, (P, C)."""

    def __init__(self, backbone: VisionTransformer, normalize: Normalization, grid: Grid) -> None:
        super().__init__()
        weight, mean, std = backbone.patches.weight, normalize.mean, normalize.std
        bias = backbone.patches.get_parameter("bias").double()
        # In double precision, as the terms of the bias are a hundred times as large as their sum.
        scaled = weight.double() / std.double()
        self.linear = nn.Linear(scaled[0].numel(), len(scaled), bias=False)
        self.linear.weight = nn.Parameter(scaled.flatten(1).to(weight.dtype))
        positions = backbone.positions.resampled(grid).double() + (bias - (scaled * mean.double()).sum((1, 2, 3)))
        self.register_buffer("positions", positions.to(weight.dtype))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the tokens, (N, P, C), of ``pixels``, 0 to 255, float (N, 3, H, W)."""
        n, channels, height, width = pixels.shape
        patches = pixels.reshape(n, channels, height // PATCH, PATCH, width // PATCH, PATCH).permute(0, 2, 4, 1, 3, 5)
        tokens: Tensor = self.linear(patches.flatten(3).flatten(1, 2)) + self.positions
        return tokens


class _Added(nn.Module):
    """Returns tokens unchanged: their positions have been added already."""

    def forward(self, tokens: Tensor, _grid: Grid) -> Tensor:
        return tokens


class _ChannelsFirst(nn.Module):
    """Moves the channels to the front, uint8 (N, H, W, 3) to float (N, 3, H, W); TensorRT cannot move bytes."""

    def forward(self, images: Tensor) -> Tensor:
        return images.float().permute(0, 3, 1, 2)
