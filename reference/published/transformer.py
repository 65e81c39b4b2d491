"""Mask2Former's parts and PRO-SCALE's as the published code formulates them, on the weights of our modules.

Tokens are (N, S, C) throughout; attention is computed a head at a time in the batch, sampled values are stacked before
they are weighed, windows are cut out, attended to and projected one for one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pem_edge.pem.backbones.swin import MASK_VALUE, Block, PatchMerging, SwinTransformer, WindowAttention
from pem_edge.pem.layers.attention import MaskedCrossAttention, SelfAttention
from pem_edge.pem.layers.deformable_attention import DeformableAttention
from pem_edge.pem.pixel_decoders.encoder import EncoderLayer, TokenEncoder, TokenRecalibration
from pem_edge.pem.pixel_decoders.transformer import TransformerPixelDecoder
from reference.published.positions import sine_positions

Sizes = list[tuple[int, int]]


def pixel_decode(module: TransformerPixelDecoder, features: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
    """Return mask features before their last convolution, and the levels' maps."""
    projected = [project(x) for project, x in zip(module.projections, features[:0:-1], strict=True)]
    levels = encode(module.encoder, projected)
    lateral = module.lateral(features[0])
    fine = lateral + F.interpolate(levels[-1], size=lateral.shape[-2:], mode="bilinear", align_corners=False)
    return F.relu(module.embedding(fine)), levels


def encode(encoder: TokenEncoder, levels: list[Tensor]) -> list[Tensor]:
    sizes = [(level.shape[2], level.shape[3]) for level in levels]
    tokens = [level.flatten(2).transpose(1, 2) for level in levels]
    positions = [
        sine_positions(level, level.shape[1]).flatten(2).transpose(1, 2) + embedding
        for level, embedding in zip(levels, encoder.level_embeddings, strict=True)
    ]
    if encoder.recalibration is not None:
        tokens[:2] = [recalibrate(encoder.recalibration, tokens[i], sizes[i], tokens[2], sizes[2]) for i in (0, 1)]
    layers, seen = list(encoder.layers), tokens[0]
    for stage, depth in enumerate(encoder.depths, start=1):
        seen = seen if stage == 1 else torch.cat([seen, tokens[stage - 1]], dim=1)
        for layer in layers[:depth]:
            assert isinstance(layer, EncoderLayer)
            seen = encoder_layer(layer, seen, torch.cat(positions[:stage], dim=1), sizes[:stage])
        layers = layers[depth:]
    parts = torch.split(seen, [height * width for height, width in sizes], dim=1)
    return [part.transpose(1, 2).reshape(level.shape) for part, level in zip(parts, levels, strict=True)]


def recalibrate(
    module: TokenRecalibration, tokens: Tensor, size: tuple[int, int], finest: Tensor, finest_size: tuple[int, int]
) -> Tensor:
    batch, length, width = tokens.shape
    as_map = finest.contiguous().view(batch, width, *finest_size)
    resized = F.interpolate(as_map, size=size, mode="bilinear", align_corners=False).reshape(batch, length, width)
    return tokens * torch.sigmoid(0.1 * module.linear(resized))


def encoder_layer(layer: EncoderLayer, tokens: Tensor, positions: Tensor, sizes: Sizes) -> Tensor:
    tokens = layer.norm(tokens + deformable_attend(layer.attention, tokens + positions, tokens, sizes))
    forward = layer.feedforward
    refined: Tensor = forward.norm(tokens + forward.contract(F.relu(forward.expand(tokens))))
    return refined


def deformable_attend(module: DeformableAttention, queries: Tensor, tokens: Tensor, sizes: Sizes) -> Tensor:
    batch, length, width = queries.shape
    heads, levels = module.heads, module.levels
    # As published, sampling is in single precision where the layers are in half.
    values, offsets, scores = (
        each.float() if each.dtype == torch.float16 else each
        for each in (module.values(tokens), module.offsets(queries), module.scores(queries))
    )
    values = values.view(batch, length, heads, width // heads)
    offsets = offsets.view(batch, length, heads, levels, -1, 2)
    weights = scores.view(batch, length, heads, -1).softmax(-1)
    sides = [offsets.new_full((1,), side) for rows, columns in sizes for side in (columns, rows)]
    normalizer = torch.cat(sides).reshape(-1, 2)
    places = reference_points(sizes, offsets)[None, :, None, None, None] + offsets / normalizer[:, None]
    samples = []
    for level, (rows, columns) in enumerate(sizes):
        start = sum(h * w for h, w in sizes[:level])
        part = values[:, start : start + rows * columns].flatten(2).transpose(1, 2)
        data = part.reshape(batch * heads, width // heads, rows, columns)
        grid = (2 * places[:, :, :, level] - 1).transpose(1, 2).flatten(0, 1)
        samples.append(F.grid_sample(data, grid, mode="bilinear", padding_mode="zeros", align_corners=False))
    by_head = weights.transpose(1, 2).reshape(batch * heads, 1, length, -1)
    summed = (torch.stack(samples, dim=-2).flatten(-2) * by_head).sum(-1).view(batch, width, length)
    output: Tensor = module.output(summed.transpose(1, 2).to(tokens.dtype))
    return output


def reference_points(sizes: Sizes, like: Tensor) -> Tensor:
    points = []
    for rows, columns in sizes:
        y, x = torch.meshgrid(
            torch.linspace(0.5, rows - 0.5, rows, dtype=like.dtype, device=like.device),
            torch.linspace(0.5, columns - 0.5, columns, dtype=like.dtype, device=like.device),
            indexing="ij",
        )
        points.append(torch.stack([x.reshape(-1) / columns, y.reshape(-1) / rows], dim=-1))
    return torch.cat(points)


def masked_attend(
    module: MaskedCrossAttention,
    queries: Tensor,
    positions: Tensor,
    source: Tensor,
    source_positions: Tensor,
    mask_logits: Tensor,
) -> Tensor:
    outside = (mask_logits.sigmoid() < 0.5).flatten(2)
    outside = outside & ~outside.all(dim=2, keepdim=True)
    memory, placed = (x.flatten(2).transpose(1, 2) for x in (source, source + source_positions))
    updated: Tensor = module.norm(queries + attend(module, queries + positions, placed, memory, outside))
    return updated


def attend(
    module: SelfAttention | MaskedCrossAttention,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    outside: Tensor | None = None,
) -> Tensor:
    """Return PyTorch's own attention with ``module``'s weights; queries do not look where ``outside`` (N, Q, S)."""
    attended, _ = F.multi_head_attention_forward(
        queries.transpose(0, 1),
        keys.transpose(0, 1),
        values.transpose(0, 1),
        queries.shape[2],
        module.heads,
        module.qkv.weight,
        module.qkv.bias,
        None,
        None,
        False,
        0.0,
        module.output.weight,
        module.output.bias,
        training=False,
        need_weights=False,
        attn_mask=None if outside is None else outside.repeat_interleave(module.heads, dim=0),
    )
    return attended.transpose(0, 1)


def swin(backbone: SwinTransformer, pixels: Tensor) -> tuple[Tensor, ...]:
    x, maps = backbone.patch_norm(backbone.patches(pixels).permute(0, 2, 3, 1)), []
    for i, (stage, norm) in enumerate(zip(backbone.stages, backbone.norms, strict=True)):
        merge = backbone.merges[i - 1] if i else None
        x = x if merge is None else merge_patches(merge, x)  # type: ignore[arg-type]
        for block in stage.children():
            assert isinstance(block, Block)
            x = x + window_attend(block.attention, block.norm1(x))
            x = x + block.contract(F.gelu(block.expand(block.norm2(x))))
        maps.append(norm(x).permute(0, 3, 1, 2))
    return tuple(maps)


def merge_patches(module: PatchMerging, x: Tensor) -> Tensor:
    corners = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
    merged: Tensor = module.reduction(module.norm(torch.cat(corners, dim=-1)))
    return merged


def window_attend(module: WindowAttention, x: Tensor) -> Tensor:
    batch, height, width, channels = x.shape
    side, shift = module.window, module.shift
    padded = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
    windows = into_windows(torch.roll(padded, (-shift, -shift), (1, 2)), side)
    count, pixels, _ = windows.shape
    q, k, v = module.qkv(windows).view(count, pixels, 3, module.heads, -1).permute(2, 0, 3, 1, 4)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    scores = scores + module.position_biases[module.index.flatten()].view(pixels, pixels, -1).permute(2, 0, 1)
    if shift:
        mask = apart(padded.shape[1], padded.shape[2], side, shift)
        scores = scores.view(batch, -1, *scores.shape[1:]) + mask[:, None]
        scores = scores.flatten(0, 1)
    attended = module.output((scores.softmax(-1) @ v).transpose(1, 2).reshape(count, pixels, channels))
    whole = torch.roll(from_windows(attended, padded.shape, side), (shift, shift), (1, 2))
    return whole[:, :height, :width]


def into_windows(x: Tensor, side: int) -> Tensor:
    batch, height, width, channels = x.shape
    split = x.view(batch, height // side, side, width // side, side, channels)
    return split.permute(0, 1, 3, 2, 4, 5).reshape(-1, side**2, channels)


def from_windows(windows: Tensor, shape: torch.Size, side: int) -> Tensor:
    batch, height, width, channels = shape
    split = windows.view(batch, height // side, width // side, side, side, channels)
    return split.permute(0, 1, 3, 2, 4, 5).reshape(shape)


def apart(height: int, width: int, side: int, shift: int) -> Tensor:
    """Return `MASK_VALUE` for pixels of one window that come from different regions of the map, (windows, P, P)."""
    regions = torch.zeros(1, height, width, 1)
    parts = (slice(-side), slice(-side, -shift), slice(-shift, None))
    for number, (rows, columns) in enumerate((rows, columns) for rows in parts for columns in parts):
        regions[:, rows, columns] = number
    each = into_windows(regions, side).squeeze(2)
    return torch.where(each[:, :, None] == each[:, None], 0.0, MASK_VALUE)
