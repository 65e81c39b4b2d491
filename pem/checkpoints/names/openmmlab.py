"""Translates the tensor names of mmdetection's and mmsegmentation's Mask2Former into ours.

mmsegmentation's head is mmdetection's under another name. mmdetection 3 renamed the parts of transformer layers; both
ways of naming are known here.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from torch import Tensor

from pem_edge.pem.checkpoints.names import torchvision
from pem_edge.pem.checkpoints.names.rules import collect, compiled, translate

_HEADS = ("panoptic_head.", "decode_head.")
"""Prefixes of the head in mmdetection and in mmsegmentation."""

_DROPPED = re.compile(
    r"(data_preprocessor|panoptic_fusion_head|auxiliary_head)\.|[a-z]+_head\.loss_\w+\.|.*\.relative_position_index$"
)
"""Matches tensors that the model does not need: constants, and weights that only training uses."""

_OF_RESNET = re.compile(r"backbone\.(conv1|bn1|layer\d)\.")
"""Matches the names in a ResNet, which are torchvision's."""

_PERMUTED = re.compile(r"backbone\.merges\.\d\.(norm\.\w+|reduction\.weight)")
"""Matches our names of tensors whose last dimension is that of four merged pixels."""

_BLOCK_ = r"^(backbone\.stages\.\d\.\d+)\."
_ENCODER_ = r"^(pixel_decoder\.encoder\.layers\.\d+)\."
_LAYER_ = r"^(decoder\.layers\.\d+)\."
_RENAMED = compiled(
    (
        # Swin Transformer.
        (r"^backbone\.patch_embed\.projection\.", r"backbone.patches."),
        (r"^backbone\.patch_embed\.norm\.", r"backbone.patch_norm."),
        (r"^backbone\.norm(\d)\.", r"backbone.norms.\1."),
        (r"^backbone\.stages\.(\d)\.downsample\.", r"backbone.merges.\1."),
        (r"^backbone\.stages\.(\d)\.blocks\.", r"backbone.stages.\1."),
        (_BLOCK_ + r"attn\.w_msa\.relative_position_bias_table$", r"\1.attention.position_biases"),
        (_BLOCK_ + r"attn\.w_msa\.proj\.", r"\1.attention.output."),
        (_BLOCK_ + r"attn\.w_msa\.", r"\1.attention."),
        (_BLOCK_ + r"ffn\.layers\.0\.0\.", r"\1.expand."),
        (_BLOCK_ + r"ffn\.layers\.1\.", r"\1.contract."),
        # Pixel decoder.
        (r"^(?:panoptic_head|decode_head)\.pixel_decoder\.", r"pixel_decoder."),
        (r"^pixel_decoder\.input_convs\.(\d)\.conv\.", r"pixel_decoder.projections.\1.conv."),
        (r"^pixel_decoder\.input_convs\.(\d)\.gn\.", r"pixel_decoder.projections.\1.norm."),
        (r"^pixel_decoder\.level_encoding\.weight$", r"pixel_decoder.encoder.level_embeddings"),
        (_ENCODER_ + r"(?:self_attn|attentions\.0)\.sampling_offsets\.", r"\1.attention.offsets."),
        (_ENCODER_ + r"(?:self_attn|attentions\.0)\.attention_weights\.", r"\1.attention.scores."),
        (_ENCODER_ + r"(?:self_attn|attentions\.0)\.value_proj\.", r"\1.attention.values."),
        (_ENCODER_ + r"(?:self_attn|attentions\.0)\.output_proj\.", r"\1.attention.output."),
        (_ENCODER_ + r"norms\.0\.", r"\1.norm."),
        (_ENCODER_ + r"norms\.1\.", r"\1.feedforward.norm."),
        (_ENCODER_ + r"(?:ffn|ffns\.0)\.layers\.0\.0\.", r"\1.feedforward.expand."),
        (_ENCODER_ + r"(?:ffn|ffns\.0)\.layers\.1\.", r"\1.feedforward.contract."),
        (r"^pixel_decoder\.lateral_convs\.0\.conv\.", r"pixel_decoder.lateral.conv."),
        (r"^pixel_decoder\.lateral_convs\.0\.gn\.", r"pixel_decoder.lateral.norm."),
        (r"^pixel_decoder\.output_convs\.0\.conv\.", r"pixel_decoder.embedding.conv."),
        (r"^pixel_decoder\.output_convs\.0\.gn\.", r"pixel_decoder.embedding.norm."),
        (r"^pixel_decoder\.mask_feature\.", r"decoder.mask_product."),
        # Transformer decoder.
        (r"^(?:panoptic_head|decode_head)\.transformer_decoder\.post_norm\.", r"decoder.norm."),
        (r"^(?:panoptic_head|decode_head)\.transformer_decoder\.", r"decoder."),
        (r"^(?:panoptic_head|decode_head)\.", r"decoder."),
        (_LAYER_ + r"(?:cross_attn|attentions\.0)\.attn\.in_proj_", r"\1.cross_attention.qkv."),
        (_LAYER_ + r"(?:cross_attn|attentions\.0)\.attn\.out_proj\.", r"\1.cross_attention.output."),
        (_LAYER_ + r"(?:self_attn|attentions\.1)\.attn\.in_proj_", r"\1.self_attention.qkv."),
        (_LAYER_ + r"(?:self_attn|attentions\.1)\.attn\.out_proj\.", r"\1.self_attention.output."),
        (_LAYER_ + r"norms\.0\.", r"\1.cross_attention.norm."),
        (_LAYER_ + r"norms\.1\.", r"\1.self_attention.norm."),
        (_LAYER_ + r"norms\.2\.", r"\1.feedforward.norm."),
        (_LAYER_ + r"(?:ffn|ffns\.0)\.layers\.0\.0\.", r"\1.feedforward.expand."),
        (_LAYER_ + r"(?:ffn|ffns\.0)\.layers\.1\.", r"\1.feedforward.contract."),
        (r"^decoder\.query_feat\.weight$", r"decoder.query_features"),
        (r"^decoder\.query_embed\.weight$", r"decoder.query_positions"),
        (r"^decoder\.level_embed\.weight$", r"decoder.level_embeddings"),
        (r"^decoder\.decoder_input_projs\.", r"decoder.projections."),
        (r"^decoder\.cls_embed\.", r"decoder.class_head."),
        *((rf"^decoder\.mask_embed\.{2 * i}\.", rf"decoder.mask_head.layers.{i}.") for i in range(3)),
    )
)


def recognizes(names: Collection[str]) -> bool:
    """Return whether ``names`` are those of the tensors of a Mask2Former of mmdetection or mmsegmentation."""
    return any(f"{head}query_feat.weight" in names for head in _HEADS)


def rename(state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return the tensors of ``state`` under our names and in our layout, without those that the model does not need.

    Args:
        state: Tensors by published name.
        source: What to call the checkpoint in an error message.

    Raises:
        CheckpointError: If two published names of one tensor have different values.
    """
    named = ((key, _our_name(key), tensor) for key, tensor in state.items() if not _DROPPED.match(key))
    ordered = ((key, name, _pixels_first(x) if _PERMUTED.fullmatch(name) else x) for key, name, x in named)
    return collect(ordered, source)


def _our_name(key: str) -> str:
    if _OF_RESNET.match(key):
        return f"backbone.{torchvision.our_name(key.removeprefix('backbone.'))}"
    return translate(key, _RENAMED)


def _pixels_first(tensor: Tensor) -> Tensor:
    """Return ``tensor`` (..., 4 C) with its last dimension in the order of our patch merging.

    ``nn.Unfold`` puts the four pixels of a channel beside each other, row by row; ours and the original code put the
    channels of a pixel beside each other, and the pixels column by column. A tensor of a size that is no multiple of
    four is returned as it is, to be found misshapen later.
    """
    if tensor.ndim == 0 or tensor.shape[-1] % 4:
        return tensor
    pixels = tensor.reshape(*tensor.shape[:-1], tensor.shape[-1] // 4, 2, 2)
    return pixels.transpose(-1, -3).flatten(-3)
