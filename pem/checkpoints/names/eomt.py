"""Translates the tensor names of EoMT, its authors' and transformers', into ours."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from pem_edge.pem.checkpoints.names import foreign
from pem_edge.pem.checkpoints.names.rules import collect, compiled, join_projections, translate
from pem_edge.pem.model import MEAN, STD
from pem_edge.pem.variants.variant import MOST_LAYERS
from pem_edge.runtime.errors import CheckpointError

PROBABILITIES = "attn_mask_probs"
"""Name of the shares of queries whose attention is masked, one for each block that has queries."""

_DROPPED = re.compile(r"criterion\.|encoder\.pixel_(?:mean|std)$")
"""Matches tensors that the model does not need: of the loss, and constants."""

_BLOCK = r"^(blocks\.\d+\.)"
_BACKBONE = r"^encoder\.backbone\."
_POSITIONS = "backbone.positions.weight"
_JOINED = "backbone.prefix"
_PREFIX = ("class_token", "registers")
"""Names, for a moment, of the tokens that are one tensor of ours."""

_RENAMED = compiled(
    (
        # The authors' names, those of the backbone being timm's.
        (_BACKBONE + r"cls_token$", "class_token"),
        (_BACKBONE + r"reg_token$", "registers"),
        (_BACKBONE + r"pos_embed$", _POSITIONS),
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
        (r"^embeddings\.position_embeddings\.weight$", _POSITIONS),
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
    """Return whether tensors of these names are those of EoMT, as its authors or transformers call them.

    Those of an EoMT that is known, but not supported, are not: they are to be told by the names that they have.
    """
    starts = {"q.weight": "encoder.backbone.blocks.", "query.weight": "upscale_block.block."}
    found = any(query in names and any(name.startswith(start) for name in names) for query, start in starts.items())
    return found and foreign.name_of(names) is None


def rename(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return the tensors of ``state`` under our names, without those that the model does not need.

    The class token and the registers become one tensor, as do transformers' projections of queries, keys and values.
    Blocks with queries become the decoder's: as many as there are probabilities of masks, or as are published.

    Args:
        state: Tensors by the authors' or transformers' names.
        source: What to call the checkpoint in an error message.

    Raises:
        CheckpointError: If attention is still masked at inference, positions are not those of a square image, pixels
            are normalized otherwise than published, or two names of one tensor have different values.
    """
    _require_usual_pixels(state, source)
    probabilities = state.get(PROBABILITIES)
    last = None if probabilities is None else _count(probabilities, source)
    kept = ((key, translate(key, _RENAMED), tensor) for key, tensor in state.items() if not _is_dropped(key))
    renamed = join_projections(collect(kept, source))
    _join_prefix(renamed)
    if (positions := renamed.get(_POSITIONS)) is not None:
        renamed[_POSITIONS] = _rows(positions)
        _require_square(renamed[_POSITIONS], source)
    return collect(_placed(renamed, last), source)


def _require_usual_pixels(state: Mapping[str, Tensor], source: str) -> None:
    """Raise CheckpointError if the authors' code would normalize pixels otherwise than with ImageNet's constants."""
    for name, usual in (("pixel_mean", MEAN), ("pixel_std", STD)):
        found = state.get(f"encoder.{name}")
        if found is not None and not np.allclose(np.resize(found.numpy(), 3), np.divide(usual, 255), atol=1e-3):
            raise CheckpointError(
                f"{source}: encoder.{name} is not that of ImageNet, which is expected: give weights that were trained "
                "with pixels normalized as published"
            )


def _is_dropped(key: str) -> bool:
    return key == PROBABILITIES or _DROPPED.match(key) is not None


def _count(probabilities: Tensor, source: str) -> int:
    """Return how many blocks have queries: one for each probability. Raises CheckpointError."""
    shape = tuple(probabilities.shape)
    if len(shape) != 1 or not 1 <= shape[0] <= MOST_LAYERS:
        raise CheckpointError(
            f"{source}: {PROBABILITIES} has the shape {shape}, expected one number for each of 1 to {MOST_LAYERS} "
            "blocks with queries: download it again"
        )
    if probabilities.count_nonzero():
        raise CheckpointError(
            f"{source}: {PROBABILITIES} are up to {float(probabilities.double().abs().max()):.2g}, expected 0: "
            "attention is still masked, as in the midst of training; give weights of a finished training with annealed "
            "masks"
        )
    return len(probabilities)


def _rows(tensor: Tensor) -> Tensor:
    """Return ``tensor`` without the batch that the authors' tokens have, (1, T, C) to (T, C)."""
    return tensor[0] if tensor.ndim == 3 and len(tensor) == 1 else tensor


def _join_prefix(state: dict[str, Tensor]) -> None:
    """Make one tensor of the class token and the registers, if they are rows of one width."""
    parts = [_rows(state[name]) for name in _PREFIX if name in state and _JOINED not in state]
    if len(parts) == len(_PREFIX) and all(part.ndim == 2 for part in parts) and len({p.shape[1] for p in parts}) == 1:
        for name in _PREFIX:
            del state[name]
        state[_JOINED] = torch.cat(parts)


def _require_square(positions: Tensor, source: str) -> None:
    """Raise CheckpointError if ``positions`` are not those of as many rows as columns of patches."""
    count = len(positions) if positions.ndim else 0
    if count and math.isqrt(count) ** 2 != count:
        has_class = math.isqrt(count - 1) ** 2 == count - 1
        cause = "a Vision Transformer without registers has one more" if has_class else "training had other images"
        raise CheckpointError(
            f"{source} has {count} positions, expected one for each patch of a square image: {cause}, which is not "
            "supported; give a model with registers, trained on square images"
        )


def _placed(state: Mapping[str, Tensor], last: int | None) -> Iterator[tuple[str, str, Tensor]]:
    """Yield names, ours and tensors, the ``last`` blocks as layers of the decoder, others as the backbone's."""
    blocks = {int(match[1]) for name in state if (match := _OF_BLOCK.fullmatch(name))}
    if last is None:
        last = _WITH_QUERIES_IF_DEEP if len(blocks) >= _DEEP else _WITH_QUERIES
    first = len(blocks) - last
    for name, tensor in state.items():
        match = _OF_BLOCK.fullmatch(name)
        if match is None:
            yield name, name, tensor
        elif (index := int(match[1])) < first:
            yield name, f"backbone.blocks.{index}.{match[2]}", tensor
        else:
            yield name, f"decoder.layers.{index - first}.{match[2]}", tensor
