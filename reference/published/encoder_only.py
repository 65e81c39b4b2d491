"""EoMT as published (``models/eomt.py``), on the weights of our module, without masks: the reference for every rewrite.

Queries come before the class token, the registers and the patches; every token goes through every block; heads attend
one by one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.pem.eomt import EoMT
from pem_edge.pem.layers.vit_block import ViTBlock


def tokens_of(model: EoMT, pixels: Tensor) -> Tensor:
    """Return the tokens before the queries join: class token, registers, patches; positions as for the trained size."""
    backbone = model.backbone
    patches = backbone.patches
    embedded = F.conv2d(pixels, patches.weight, patches.bias, stride=16).flatten(2).transpose(1, 2)
    embedded = embedded + backbone.positions.weight
    x = torch.cat([backbone.prefix.expand(len(pixels), -1, -1), embedded], dim=1)
    for each in backbone.blocks:
        x = block(each, x)
    return x


def decode(model: EoMT, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return class logits and mask logits."""
    decoder, side = model.decoder, model.backbone.positions.side
    count = model.num_queries
    x = torch.cat([decoder.query_features.expand(len(x), -1, -1), x], dim=1)
    for each in decoder.layers:
        x = block(each, x)
    x = decoder.norm(x)
    queries, patches = x[:, :count], x[:, count + len(model.backbone.prefix) :]
    features = patches.transpose(1, 2).reshape(len(x), -1, side, side)
    for upscaling in decoder.upscalings:
        features = upscale(upscaling, features)
    first, second, last = decoder.mask_head.layers
    embeddings = last(F.gelu(second(F.gelu(first(queries)))))
    return decoder.class_head(queries), torch.einsum("bqc,bchw->bqhw", embeddings, features)


def block(each: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(each, ViTBlock)
    qkv = each.qkv(each.norm1(x)).reshape(*x.shape[:2], 3, each.attention.heads, -1).permute(2, 3, 0, 1, 4)
    heads = []
    for q, k, v in zip(*qkv, strict=True):
        weights = (q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1)
        heads.append(weights @ v)
    x = x + each.output(torch.cat(heads, dim=-1)) * each.scale1.gamma
    mixed: Tensor = x + each.contract(F.gelu(each.expand(each.norm2(x)))) * each.scale2.gamma
    return mixed


def upscale(each: nn.Module, x: Tensor) -> Tensor:
    expand, depthwise, norm = (each.get_submodule(name) for name in ("expand", "depthwise", "norm"))
    x = F.conv_transpose2d(x, expand.get_parameter("weight"), expand.get_parameter("bias"), stride=2)
    x = F.conv2d(F.gelu(x), depthwise.get_parameter("weight"), padding=1, groups=x.shape[1])
    centered = x - x.mean(1, keepdim=True)
    normalized = centered / (centered.square().mean(1, keepdim=True) + 1e-6).sqrt()
    weight, bias = (norm.get_parameter(name)[:, None, None] for name in ("weight", "bias"))
    return normalized * weight + bias
