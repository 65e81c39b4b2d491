"""Translates the tensor names of transformers' Mask2Former into ours.

Files that ``save_pretrained`` writes have other names than the modules of transformers 5; both are known. A backbone of
timm's (``use_timm_backbone``) has torchvision's names.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from torch import Tensor

from pem_edge.pem.checkpoints.names import torchvision
from pem_edge.pem.checkpoints.names.rules import collect, compiled, join_projections, translate

BACKBONE = "model.pixel_level_module.encoder."
"""What the names of a backbone begin with; without it, they are those that transformers gives a backbone alone."""

_LEVEL = r"^model\.pixel_level_module\."
_SWIN = rf"{_LEVEL}encoder\.(?:swin\.)?"
_BLOCK = r"^(backbone\.stages\.\d\.\d+\.)"
_ENCODER = r"^(pixel_decoder\.encoder\.layers\.\d+\.)"
_DECODER = r"^(decoder\.layers\.\d+\.)"

_DROPPED = re.compile(
    rf"criterion\.|.*\.relative_position_index$|{_SWIN[1:]}layernorm\.|{_LEVEL[1:]}encoder\._backbone\.fc\."
)
"""Matches tensors that the model does not need: of the loss, constants, and norms that only a classifier uses."""

_RENAMED = compiled(
    (
        # Swin Transformer.
        (rf"{_SWIN}embeddings\.patch_embeddings\.projection\.", "backbone.patches."),
        (rf"{_SWIN}embeddings\.norm\.", "backbone.patch_norm."),
        (rf"{_SWIN}encoder\.layers\.(\d)\.downsample\.", r"backbone.merges.\1."),
        (rf"{_SWIN}encoder\.layers\.(\d)\.blocks\.(\d+)\.", r"backbone.stages.\1.\2."),
        *((rf"{_LEVEL}encoder\.hidden_states_norms\.stage{i + 1}\.", f"backbone.norms.{i}.") for i in range(4)),
        (_BLOCK + r"layernorm_before\.", r"\1norm1."),
        (_BLOCK + r"layernorm_after\.", r"\1norm2."),
        (_BLOCK + r"(?:intermediate\.dense|mlp\.fc1)\.", r"\1expand."),
        (_BLOCK + r"(?:output\.dense|mlp\.fc2)\.", r"\1contract."),
        (_BLOCK + r"attention\.(?:output\.dense|o_proj)\.", r"\1attention.output."),
        (_BLOCK + r"attention\.(?:self\.)?(q|k|v)(?:uery|ey|alue|_proj)\.", r"\1attention.\2."),
        (_BLOCK + r"attention\.(?:self|relative_position_bias)\.relative_position_bias_table$",
         r"\1attention.position_biases"),
        # ResNet.
        (rf"{_LEVEL}encoder\.embedder\.embedder\.", "backbone.stem."),
        *((rf"{_LEVEL}encoder\.encoder\.stages\.{i}\.layers\.", f"backbone.res{i + 2}.") for i in range(4)),
        *((rf"^(backbone\.res\d\.\d+\.)layer\.{k}\.", rf"\1conv{k + 1}.") for k in range(3)),
        (r"^(backbone\..*)convolution\.weight$", r"\1conv.weight"),
        (r"^(backbone\..*)normalization\.", r"\1bn."),
        # Pixel decoder.
        (rf"{_LEVEL}decoder\.input_projections\.(\d)\.0\.", r"pixel_decoder.projections.\1.conv."),
        (rf"{_LEVEL}decoder\.input_projections\.(\d)\.1\.", r"pixel_decoder.projections.\1.norm."),
        (rf"{_LEVEL}decoder\.level_embed$", "pixel_decoder.encoder.level_embeddings"),
        (rf"{_LEVEL}decoder\.encoder\.layers\.(\d+)\.", r"pixel_decoder.encoder.layers.\1."),
        (_ENCODER + r"self_attn\.sampling_offsets\.", r"\1attention.offsets."),
        (_ENCODER + r"self_attn\.attention_weights\.", r"\1attention.scores."),
        (_ENCODER + r"self_attn\.value_proj\.", r"\1attention.values."),
        (_ENCODER + r"self_attn\.output_proj\.", r"\1attention.output."),
        (_ENCODER + r"self_attn_layer_norm\.", r"\1norm."),
        (rf"{_LEVEL}decoder\.adapter_1\.0\.", "pixel_decoder.lateral.conv."),
        (rf"{_LEVEL}decoder\.adapter_1\.1\.", "pixel_decoder.lateral.norm."),
        (rf"{_LEVEL}decoder\.layer_1\.0\.", "pixel_decoder.embedding.conv."),
        (rf"{_LEVEL}decoder\.layer_1\.1\.", "pixel_decoder.embedding.norm."),
        (rf"{_LEVEL}decoder\.mask_projection\.", "decoder.mask_product."),
        # Transformer decoder.
        (r"^model\.transformer_module\.queries_features\.weight$", "decoder.query_features"),
        (r"^model\.transformer_module\.queries_embedder\.weight$", "decoder.query_positions"),
        (r"^model\.transformer_module\.level_embed\.weight$", "decoder.level_embeddings"),
        (r"^model\.transformer_module\.decoder\.layernorm\.", "decoder.norm."),
        (r"^model\.transformer_module\.decoder\.mask_predictor\.mask_embedder\.(\d)\.0\.",
         r"decoder.mask_head.layers.\1."),
        (r"^model\.transformer_module\.decoder\.layers\.(\d+)\.", r"decoder.layers.\1."),
        (_DECODER + r"self_attn\.(q|k|v)_proj\.", r"\1self_attention.\2."),
        (_DECODER + r"self_attn\.out_proj\.", r"\1self_attention.output."),
        (_DECODER + r"self_attn_layer_norm\.", r"\1self_attention.norm."),
        (_DECODER + r"cross_attn\.in_proj_", r"\1cross_attention.qkv."),
        (_DECODER + r"cross_attn\.out_proj\.", r"\1cross_attention.output."),
        (_DECODER + r"cross_attn_layer_norm\.", r"\1cross_attention.norm."),
        (r"^class_predictor\.", "decoder.class_head."),
        # Feed-forward networks of both.
        (r"^((?:pixel_decoder\.encoder|decoder)\.layers\.\d+\.)fc1\.", r"\1feedforward.expand."),
        (r"^((?:pixel_decoder\.encoder|decoder)\.layers\.\d+\.)fc2\.", r"\1feedforward.contract."),
        (r"^((?:pixel_decoder\.encoder|decoder)\.layers\.\d+\.)final_layer_norm\.", r"\1feedforward.norm."),
    )
)  # fmt: skip

_TIMM = f"{BACKBONE}_backbone."


def recognizes(names: Collection[str]) -> bool:
    """Return whether tensors of these names are those of transformers' Mask2Former."""
    return any(name.startswith("model.pixel_level_module.") for name in names)


def rename(state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return the tensors of ``state`` under our names, without those that the model does not need.

    The projections of queries, keys and values are concatenated, as ours are one.

    Args:
        state: Tensors by transformers' name.
        source: What to call the checkpoint in an error message.

    Raises:
        CheckpointError: If two names of one tensor have different values.
    """
    kept = ((key, _name(key), tensor) for key, tensor in state.items() if not _DROPPED.match(key))
    return join_projections(collect(kept, source))


def _name(key: str) -> str:
    if key.startswith(_TIMM):
        return f"backbone.{torchvision.our_name(key.removeprefix(_TIMM))}"
    return translate(key, _RENAMED)
