"""EoMT of transformers with random weights, in folders as on the hub, and with the names that its authors give them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import EomtConfig, EomtForUniversalSegmentation
from transformers.models.eomt.image_processing_pil_eomt import EomtImageProcessorPil

from reference.huggingface.folders import change_json, id2label, quietly
from reference.weights import randomized

PATCH = 16

SIZES: dict[str, dict[str, int]] = {
    "small": {"hidden_size": 384, "num_attention_heads": 6, "num_hidden_layers": 12, "num_blocks": 3},
    "base": {"hidden_size": 768, "num_attention_heads": 12, "num_hidden_layers": 12, "num_blocks": 3},
    "large": {"hidden_size": 1024, "num_attention_heads": 16, "num_hidden_layers": 24, "num_blocks": 4},
}
"""Settings by the name of the size in the names of models on the hub."""

VARIANTS = {"small": "eomt-s", "base": "eomt-b", "large": "eomt-l"}

_BLOCK = r"^layers\.(\d+)\."
_RENAMED = (
    (r"^embeddings\.cls_token$", "encoder.backbone.cls_token"),
    (r"^embeddings\.register_tokens$", "encoder.backbone.reg_token"),
    (r"^embeddings\.position_embeddings\.weight$", "encoder.backbone.pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "encoder.backbone.patch_embed.proj."),
    (r"^layernorm\.", "encoder.backbone.norm."),
    (_BLOCK + r"attention\.out_proj\.", r"layers.\1.attn.proj."),
    (_BLOCK + r"layer_scale([12])\.lambda1$", r"layers.\1.ls\2.gamma"),
    (r"^layers\.", "encoder.backbone.blocks."),
    (r"^query\.", "q."),
    (r"^class_predictor\.", "class_head."),
    (r"^upscale_block\.block\.(\d)\.layernorm2d\.", r"upscale.\1.norm."),
    (r"^upscale_block\.block\.", "upscale."),
    *((rf"^mask_head\.fc{i + 1}\.", f"mask_head.{2 * i}.") for i in range(3)),
)
"""transformers' names, and those of the authors' network."""


def build(
    size: str, classes: int | Sequence[str], queries: int = 200, side: int = 640, seed: int = 0, **settings: Any
) -> EomtForUniversalSegmentation:
    """Return a model, in evaluation mode, of which every tensor is random and no attention is masked.

    Args:
        size: A key of `SIZES`.
        classes: The number of classes, or their names.
        queries: The number of queries.
        side: Height and width of images in training, in pixels.
        seed: What random numbers depend on.
        settings: Further settings of the configuration.
    """
    quietly()
    torch.manual_seed(seed)
    config = EomtConfig(**{**SIZES[size], **id2label(classes), "num_queries": queries, "image_size": side, **settings})
    model = randomized(EomtForUniversalSegmentation(config), seed)
    model.attn_mask_probs.zero_()
    return model


def write(model: EomtForUniversalSegmentation, folder: Path, **settings: Any) -> Path:
    """Write the model and the settings of its preprocessing, and return ``folder``; ``settings`` overrule the usual."""
    model.save_pretrained(folder)
    usual = {"size": {"shortest_edge": model.config.image_size, "longest_edge": model.config.image_size}}
    EomtImageProcessorPil(**{**usual, "do_pad": True, "do_split_image": False, **settings}).save_pretrained(folder)
    change_json(folder / "preprocessor_config.json", image_processor_type="EomtImageProcessor")
    return folder


def resample(model: EomtForUniversalSegmentation, height: int, width: int) -> None:
    """Make the model take images of another size, its positions resampled as timm resamples DINOv2's."""
    embeddings, side = model.embeddings, model.grid_size[0]
    grid = height // PATCH, width // PATCH
    trained = embeddings.position_embeddings.weight.detach().reshape(1, side, side, -1).permute(0, 3, 1, 2)
    positions = F.interpolate(trained, grid, mode="bicubic", antialias=True).flatten(2)[0].T.contiguous()
    embeddings.position_embeddings = nn.Embedding(len(positions), positions.shape[1], _weight=positions)
    embeddings.position_ids = nn.Buffer(torch.arange(len(positions))[None], persistent=False)
    model.grid_size = grid


def authors_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors by transformers' names as the authors' training has them, without prefix and criterion."""
    found = {}
    for name, tensor in state.items():
        if name.startswith("criterion."):
            continue
        if match := re.fullmatch(_BLOCK[1:] + r"attention\.q_proj\.(weight|bias)", name):
            parts = [state[name.replace(".q_proj.", f".{part}_proj.")] for part in "qkv"]
            found[f"encoder.backbone.blocks.{match[1]}.attn.qkv.{match[2]}"] = torch.cat(parts)
        elif not re.search(r"\.[kv]_proj\.", name):
            found[_renamed(name)] = tensor[None] if "position_embeddings" in name else tensor
    constants = {"pixel_mean": (0.485, 0.456, 0.406), "pixel_std": (0.229, 0.224, 0.225)}
    found |= {f"encoder.{name}": torch.tensor(values).reshape(1, 3, 1, 1) for name, values in constants.items()}
    return found


def authors_file(state: Mapping[str, Tensor], prefix: str = "network.") -> dict[str, Tensor]:
    """Return what the authors' ``pytorch_model.bin`` holds, of tensors by transformers' names."""
    network = {f"{prefix}{name}": tensor for name, tensor in authors_state(state).items()}
    classes = len(network[f"{prefix}class_head.bias"])
    return {**network, "criterion.empty_weight": torch.cat([torch.ones(classes - 1), torch.tensor([0.1])])}


def _renamed(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name
