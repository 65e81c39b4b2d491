"""Translates the tensor names of ImageNet classifiers into those of our backbones.

ResNets are torchvision's, timm's or transformers'; Swin Transformers those, or their authors'; STDC is its authors'.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from torch import Tensor

from pem_edge.pem.checkpoints.names import detectron2, huggingface, torchvision
from pem_edge.pem.checkpoints.names.rules import compiled, translate

_OURS = "backbone."
_TRANSFORMERS = re.compile(r"(?:swin|resnet)\.|(?:embeddings\.patch_embeddings|embedder\.embedder)\.")
"""Matches names of transformers, with and without a classifier around the backbone."""

_TORCHVISION_SWIN = compiled(
    (
        (r"^features\.0\.0\.", "patches."),
        (r"^features\.0\.2\.", "patch_norm."),
        *((rf"^features\.{2 * i + 1}\.", f"stages.{i}.") for i in range(4)),
        *((rf"^features\.{2 * i + 2}\.", f"merges.{i}.") for i in range(3)),
        (r"^(stages\.\d\.\d+\.)attn\.relative_position_bias_table$", r"\1attention.position_biases"),
        (r"^(stages\.\d\.\d+\.)attn\.proj\.", r"\1attention.output."),
        (r"^(stages\.\d\.\d+\.)attn\.", r"\1attention."),
        (r"^(stages\.\d\.\d+\.)mlp\.0\.", r"\1expand."),
        (r"^(stages\.\d\.\d+\.)mlp\.3\.", r"\1contract."),
    )
)

_TIMM_MERGE = re.compile(r"^layers\.([123])\.downsample\.")
"""Matches timm's names of what halves a map: there it begins a stage, with the authors it ends the one before."""


def rename(state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return the tensors of ``state`` under our names, within the backbone; other names stay as they are.

    Args:
        state: Tensors by a classifier's names, by ours, or by those of a backbone in a checkpoint of detectron2.
        source: What to call the checkpoint in an error message.

    Raises:
        CheckpointError: If two names of one tensor have different values.
    """
    state = {key.removeprefix(_OURS): tensor for key, tensor in state.items()}
    if any(_TRANSFORMERS.match(key) for key in state):
        inside = {huggingface.BACKBONE + re.sub(r"^(swin|resnet)\.", "", key): each for key, each in state.items()}
        return {key.removeprefix(_OURS): tensor for key, tensor in huggingface.rename(inside, source).items()}
    if "features.0.0.weight" in state:
        return {translate(key, _TORCHVISION_SWIN): tensor for key, tensor in state.items()}
    if _is_timms_swin(state):
        state = {_TIMM_MERGE.sub(_as_authors_do, key): tensor for key, tensor in state.items()}
    return {_our_name(key): tensor for key, tensor in state.items()}


def _is_timms_swin(names: Collection[str]) -> bool:
    return any(name.startswith("layers.3.downsample.") for name in names)


def _as_authors_do(match: re.Match[str]) -> str:
    return f"layers.{int(match[1]) - 1}.downsample."


def _our_name(key: str) -> str:
    if key.startswith(("features.", "patch_embed.", "layers.")):
        return detectron2.our_name(f"{_OURS}{key}").removeprefix(_OURS)
    return torchvision.our_name(key)
