"""Translates the tensor names of EoMT, its authors' and transformers', into ours."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

import torch
from torch import Tensor

from pem_edge.pem.checkpoints.names.rules import collect, compiled, join_projections, translate
from pem_edge.runtime.errors import CheckpointError

PROBABILITIES = "attn_mask_probs"
"""Name of the shares of queries whose attention is masked, one for each block that has queries."""

_DROPPED = re.compile(r"criterion\.|encoder\.pixel_(?:mean|std)$")
"""Matches tensors that the model does not need: of the loss, and constants."""

_BLOCK = r"^(blocks\.\d+\.)"
_BACKBONE = r"^encoder\.backbone\."
_PREFIX = ("class_token", "registers")
"""Names, for a moment, of the tokens that are one tensor of ours."""

_RENAMED = compiled(
    (
        # The authors' names, those of the backbone being timm's.
        (_BACKBONE + r"cls_token$", "class_token"),
        (_BACKBONE + r"reg_token$", "registers"),
        (_BACKBONE + r"pos_embed$", "backbone.positions.weight"),
        (_BACKBONE + r"patch_embed\.proj\.", "backbone.patches."),
        (_BACKBONE + r"norm\.", "decoder.norm."),
        (_BACKBONE + r"blocks\.", "blocks."),
        (_BLOCK + r"attn\.qkv\.", r"\1qkv."),
        (_BLOCK + r"attn\.proj\.", r"\1output."),
        (_BLOCK + r"ls([12])\.gamma$", r"\1scale\2.gamma"),
        (r"^q\.weight$", "decoder.query_features"),
        (r"^class_head\.", "decoder.class_head."),
        *((rf"^mask_head\.{2 * i}\.", f"decoder.mask_head.layers.{i}.") for i in range(3)),
        (r"^upscale\.(\d)\.", r"decoder.upscalings.\1."),
        # transformers' names.
        (r"^embeddings\.cls_token$", "class_token"),
        (r"^embeddings\.register_tokens$", "registers"),
        (r"^embeddings\.position_embeddings\.weight$", "backbone.positions.weight"),
        (r"^embeddings\.patch_embeddings\.projection\.", "backbone.patches."),
        (r"^layernorm\.", "decoder.norm."),
        (r"^layers\.", "blocks."),
        (_BLOCK + r"attention\.([qkv])_proj\.", r"\1\2."),
        (_BLOCK + r"attention\.out_proj\.", r"\1output."),
        (_BLOCK + r"layer_scale([12])\.lambda1$", r"\1scale\2.gamma"),
        (r"^query\.weight$", "decoder.query_features"),
        (r"^class_predictor\.", "decoder.class_head."),
        *((rf"^mask_head\.fc{i + 1}\.", f"decoder.mask_head.layers.{i}.") for i in range(3)),
        (r"^upscale_block\.block\.(\d)\.", r"decoder.upscalings.\1."),
        # Names of both.
        (_BLOCK + r"mlp\.fc1\.", r"\1expand."),
        (_BLOCK + r"mlp\.fc2\.", r"\1contract."),
        (r"^(decoder\.upscalings\.\d\.)conv1\.", r"\1expand."),
        (r"^(decoder\.upscalings\.\d\.)conv2\.", r"\1depthwise."),
        (r"^(decoder\.upscalings\.\d\.)layernorm2d\.", r"\1norm."),
    )
)

_OF_BLOCK = re.compile(r"blocks\.(\d+)\.(.*)")

_DEEP, _WITH_QUERIES, _WITH_QUERIES_IF_DEEP = 24, 3, 4
"""Number of blocks from which on a model is deep; how many have queries, as published: of others, of deep ones."""


def recognizes(names: Collection[str]) -> bool:
    """Return whether tensors of these names are those of EoMT, as its authors or transformers call them."""
    authors = "q.weight" in names and any(name.startswith("encoder.backbone.blocks.") for name in names)
    return authors or ("query.weight" in names and any(name.startswith("upscale_block.block.") for name in names))


def rename(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return the tensors of ``state`` under our names, without those that the model does not need.

    The class token and the registers become one tensor, as do transformers' projections of queries, keys and values.
    Blocks with queries become the decoder's: as many as there are probabilities of masks, or as are published.

    Args:
        state: Tensors by the authors' or transformers' names.
        source: What to call the checkpoint in an error message.

    Raises:
        CheckpointError: If attention is still masked at inference, or two names of one tensor have different values.
    """
    probabilities = state.get(PROBABILITIES)
    if probabilities is not None and probabilities.count_nonzero():
        raise CheckpointError(
            f"{source}: {PROBABILITIES} are up to {float(probabilities.max()):.2g}, expected 0: attention is "
            "still masked, as in the midst of training; give weights of a finished training with annealed masks"
        )
    kept = ((key, translate(key, _RENAMED), tensor) for key, tensor in state.items() if not _is_dropped(key))
    renamed = join_projections(collect(kept, source))
    if all(name in renamed for name in _PREFIX):
        renamed["backbone.prefix"] = torch.cat([_rows(renamed.pop(name)) for name in _PREFIX])
    if (positions := renamed.get("backbone.positions.weight")) is not None:
        renamed["backbone.positions.weight"] = _rows(positions)
    last = None if probabilities is None else probabilities.numel()
    return dict(_placed(renamed, last))


def _is_dropped(key: str) -> bool:
    return key == PROBABILITIES or _DROPPED.match(key) is not None


def _rows(tensor: Tensor) -> Tensor:
    """Return ``tensor`` without the batch that the authors' tokens have, (1, T, C) to (T, C)."""
    return tensor[0] if tensor.ndim == 3 and len(tensor) == 1 else tensor


def _placed(state: Mapping[str, Tensor], last: int | None) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors with the ``last`` blocks as layers of the decoder, the others as blocks of the backbone."""
    blocks = {int(match[1]) for name in state if (match := _OF_BLOCK.fullmatch(name))}
    if last is None:
        last = _WITH_QUERIES_IF_DEEP if len(blocks) >= _DEEP else _WITH_QUERIES
    first = len(blocks) - last
    for name, tensor in state.items():
        match = _OF_BLOCK.fullmatch(name)
        if match is None:
            yield name, tensor
        elif (index := int(match[1])) < first:
            yield f"backbone.blocks.{index}.{match[2]}", tensor
        else:
            yield f"decoder.layers.{index - first}.{match[2]}", tensor
