"""Translates the tensor names of the published code, which is based on detectron2, into ours."""

from __future__ import annotations

import re

from torch import Tensor

from pem_edge.pem.checkpoints.names.rules import collect, compiled, translate

_DROPPED = re.compile(
    r"criterion\.|pixel_mean$|pixel_std$|backbone\.(stem\.fc|conv_last)\.|.*\.relative_position_index$"
)
"""Matches tensors that the model does not need: constants, and weights that only training or a classifier uses."""

_CROSS = r"decoder.layers.\1.cross_attention."
_SELF = r"decoder.layers.\1.self_attention."
_ENCODER = r"pixel_decoder.encoder.layers.\1."
_ENCODER_ = r"^pixel_decoder\.encoder\.layers\.(\d+)\."
_RENAMED = compiled(
    (
        # Backbones. The STDC modules are registered twice; x2 to x32 are the second names of `features`.
        (r"^backbone\.x\d+\.0\.", r"backbone.features."),
        (r"^(backbone\.features\.\d+)\.conv_list\.", r"\1.convs."),
        (r"^(backbone\.features\.\d+)\.avd_layer\.0\.", r"\1.downsample.conv."),
        (r"^(backbone\.features\.\d+)\.avd_layer\.1\.", r"\1.downsample.bn."),
        (r"^backbone\.stem\.conv1\.", r"backbone.stem."),
        (r"^(backbone\.(?:stem|res\d\.\d+\.\w+))\.norm\.", r"\1.bn."),
        (r"^(backbone\.(?:stem|res\d\.\d+\.(?:conv\d|shortcut)))\.weight$", r"\1.conv.weight"),
        # Swin Transformer.
        (r"^backbone\.patch_embed\.proj\.", r"backbone.patches."),
        (r"^backbone\.patch_embed\.norm\.", r"backbone.patch_norm."),
        (r"^backbone\.norm(\d)\.", r"backbone.norms.\1."),
        (r"^backbone\.layers\.(\d)\.downsample\.", r"backbone.merges.\1."),
        (r"^backbone\.layers\.(\d)\.blocks\.(\d+)\.", r"backbone.stages.\1.\2."),
        (r"^(backbone\.stages\.\d\.\d+\.)attn\.relative_position_bias_table$", r"\1attention.position_biases"),
        (r"^(backbone\.stages\.\d\.\d+\.)attn\.proj\.", r"\1attention.output."),
        (r"^(backbone\.stages\.\d\.\d+\.)attn\.", r"\1attention."),
        (r"^(backbone\.stages\.\d\.\d+\.)mlp\.fc1\.", r"\1expand."),
        (r"^(backbone\.stages\.\d\.\d+\.)mlp\.fc2\.", r"\1contract."),
        # PEM's pixel decoder.
        (r"^sem_seg_head\.pixel_decoder\.", r"pixel_decoder."),
        (r"^pixel_decoder\.in_projections\.", r"pixel_decoder.projections."),
        (r"^pixel_decoder\.conv_avg\.", r"pixel_decoder.context."),
        (r"^pixel_decoder\.out\.", r"pixel_decoder.mask_features."),
        (r"^pixel_decoder\.csm\.(\d)\.mlp\.0\.mlp\.0\.", r"pixel_decoder.modulations.\1.reduce.conv."),
        (r"^pixel_decoder\.csm\.(\d)\.mlp\.0\.mlp\.1\.", r"pixel_decoder.modulations.\1.reduce.bn."),
        (r"^pixel_decoder\.csm\.(\d)\.mlp\.0\.mlp\.3\.", r"pixel_decoder.modulations.\1.expand."),
        (r"^pixel_decoder\.dcn\.(\d)\.dcn_offset\.", r"pixel_decoder.levels.\1.offsets."),
        (r"^pixel_decoder\.dcn\.(\d)\.dcn\.", r"pixel_decoder.levels.\1.deform."),
        (r"^pixel_decoder\.dcn\.(\d)\.dcn_bn\.", r"pixel_decoder.levels.\1.bn."),
        (r"^pixel_decoder\.dcn\.(\d)\.up_sample\.", r"pixel_decoder.levels.\1.upsample.conv."),
        (r"^pixel_decoder\.dcn\.(\d)\.up_bn\.", r"pixel_decoder.levels.\1.upsample.bn."),
        # Mask2Former's pixel decoder, PRO-SCALE's layers in it.
        (r"^pixel_decoder\.input_proj\.(\d)\.0\.", r"pixel_decoder.projections.\1.conv."),
        (r"^pixel_decoder\.input_proj\.(\d)\.1\.", r"pixel_decoder.projections.\1.norm."),
        (r"^pixel_decoder\.transformer\.level_embed$", r"pixel_decoder.encoder.level_embeddings"),
        (r"^pixel_decoder\.transformer\.encoder\.token_excite\.ops\.", r"pixel_decoder.encoder.recalibration.linear."),
        (r"^pixel_decoder\.transformer\.encoder\.layers\.(\d+)\.", _ENCODER),
        (_ENCODER_ + r"self_attn\.sampling_offsets\.", _ENCODER + "attention.offsets."),
        (_ENCODER_ + r"self_attn\.attention_weights\.", _ENCODER + "attention.scores."),
        (_ENCODER_ + r"self_attn\.value_proj\.", _ENCODER + "attention.values."),
        (_ENCODER_ + r"self_attn\.output_proj\.", _ENCODER + "attention.output."),
        (_ENCODER_ + r"norm1\.", _ENCODER + "norm."),
        (_ENCODER_ + r"linear1\.", _ENCODER + "feedforward.expand."),
        (_ENCODER_ + r"linear2\.", _ENCODER + "feedforward.contract."),
        (_ENCODER_ + r"norm2\.", _ENCODER + "feedforward.norm."),
        (r"^pixel_decoder\.adapter_1\.weight$", r"pixel_decoder.lateral.conv.weight"),
        (r"^pixel_decoder\.adapter_1\.norm\.", r"pixel_decoder.lateral.norm."),
        (r"^pixel_decoder\.layer_1\.weight$", r"pixel_decoder.embedding.conv.weight"),
        (r"^pixel_decoder\.layer_1\.norm\.", r"pixel_decoder.embedding.norm."),
        (r"^pixel_decoder\.mask_features\.(weight|bias)$", r"decoder.mask_product.\1"),
        # Transformer decoder.
        (r"^sem_seg_head\.predictor\.", r"decoder."),
        (r"^decoder\.transformer_cross_attention_layers\.(\d+)\.feature_proj\.bn\.", _CROSS + "memory_bn."),
        (r"^decoder\.transformer_cross_attention_layers\.(\d+)\.feature_proj\.to_query_3x3\.", _CROSS + "memory_conv."),
        (r"^decoder\.transformer_cross_attention_layers\.(\d+)\.feature_proj\.out\.", _CROSS + "memory_linear."),
        (r"^decoder\.transformer_cross_attention_layers\.(\d+)\.query_proj\.0\.", _CROSS + "query_norm."),
        (r"^decoder\.transformer_cross_attention_layers\.(\d+)\.query_proj\.1\.", _CROSS + "query_linear."),
        (r"^decoder\.transformer_cross_attention_layers\.(\d+)\.proj\.", _CROSS + "projection."),
        (r"^decoder\.transformer_cross_attention_layers\.(\d+)\.final\.", _CROSS + "output."),
        (r"^decoder\.transformer_cross_attention_layers\.(\d+)\.alpha$", _CROSS + "alpha"),
        (r"^decoder\.transformer_cross_attention_layers\.(\d+)\.multihead_attn\.in_proj_", _CROSS + "qkv."),
        (r"^decoder\.transformer_cross_attention_layers\.(\d+)\.multihead_attn\.out_proj\.", _CROSS + "output."),
        (r"^decoder\.transformer_cross_attention_layers\.(\d+)\.norm\.", _CROSS + "norm."),
        (r"^decoder\.transformer_self_attention_layers\.(\d+)\.self_attn\.in_proj_", _SELF + "qkv."),
        (r"^decoder\.transformer_self_attention_layers\.(\d+)\.self_attn\.out_proj\.", _SELF + "output."),
        (r"^decoder\.transformer_self_attention_layers\.(\d+)\.norm\.", _SELF + "norm."),
        (r"^decoder\.transformer_ffn_layers\.(\d+)\.linear1\.", r"decoder.layers.\1.feedforward.expand."),
        (r"^decoder\.transformer_ffn_layers\.(\d+)\.linear2\.", r"decoder.layers.\1.feedforward.contract."),
        (r"^decoder\.transformer_ffn_layers\.(\d+)\.norm\.", r"decoder.layers.\1.feedforward.norm."),
        (r"^decoder\.decoder_norm\.", r"decoder.norm."),
        (r"^decoder\.(?:query_feat|static_query)\.weight$", r"decoder.query_features"),
        (r"^decoder\.query_embed\.weight$", r"decoder.query_positions"),
        (r"^decoder\.level_embed\.weight$", r"decoder.level_embeddings"),
        (r"^decoder\.input_proj\.", r"decoder.projections."),
        (r"^decoder\.class_embed\.", r"decoder.class_head."),
        (r"^decoder\.mask_embed\.", r"decoder.mask_head."),
    )
)


def rename(state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return the tensors of ``state`` under our names, without those that the model does not need.

    Args:
        state: Tensors by published name.
        source: What to call the checkpoint in an error message.

    Raises:
        CheckpointError: If two published names of one tensor have different values.
    """
    kept = ((key, our_name(key), tensor) for key, tensor in state.items() if not _DROPPED.match(key))
    return collect(kept, source)


def our_name(key: str) -> str:
    """Return our name of the tensor whose published name is ``key``, or ``key`` if it is no published name."""
    return translate(key, _RENAMED)
