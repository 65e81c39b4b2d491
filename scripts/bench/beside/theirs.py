"""The published formulations in PyTorch, and transformers' model, from an array to a panoptic map.

Detectron2, on which the published code of PEM builds, has no kernel of the deformable convolution for CPUs; torchvision
has one, which may stand in for it. Deformable attention is the published fallback in PyTorch, which transformers runs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pem_edge import pem
from pem_edge.runtime.artifacts.geometry import STRIDE
from reference.published.operators import use_torchvision
from reference.published.panoptic import panoptic
from reference.published_form import ReferenceForm
from scripts.bench.beside.answers import Answer
from scripts.bench.beside.cases import Files
from scripts.bench.beside.ours import MAP
from scripts.bench.networks.turns import Run

SCORE, OVERLAP = 0.8, 0.8
"""Thresholds of the merge, as published and of our artifacts."""

Outputs = tuple[Tensor, Tensor]
"""Class logits (Q, K+1) and mask logits (Q, h, w)."""


@torch.inference_mode()
def prepare_published(files: Files, operators: str | None, answer: Path) -> Mapping[str, Run]:
    """Prepare the published formulation on our weights, and write what it answers for the picture.

    Args:
        files: The files of the case.
        operators: As `use_torchvision` takes it; None for plain PyTorch.
        answer: The file to write.
    """
    model, picture, things = pem.load(files.weights), np.load(files.picture), files.things()
    if operators is not None:
        use_torchvision(model, operators)
    form = ReferenceForm(model)

    def outputs() -> Outputs:
        logits, masks = form(torch.from_numpy(picture)[None])
        return logits[0], masks[0]

    @torch.inference_mode()
    def to_map() -> NDArray[np.int32]:
        return merged(outputs(), things)

    write(answer, outputs(), things)
    return {MAP: to_map}


@torch.inference_mode()
def prepare_transformers(files: Files, answer: Path) -> Mapping[str, Run]:
    """Prepare transformers' model with its own processing before and after it; arguments as `prepare_published`.

    What is written is merged as published: its own merging differs (`tests/pem/transformers/test_postprocessing.py`).
    """
    from transformers import Mask2FormerForUniversalSegmentation
    from transformers.models.mask2former.image_processing_pil_mask2former import Mask2FormerImageProcessorPil

    processor: Any = Mask2FormerImageProcessorPil.from_pretrained(files.weights)
    model: Any = Mask2FormerForUniversalSegmentation.from_pretrained(files.weights)
    model.eval()
    picture, things = np.load(files.picture), files.things()
    options: dict[str, Any] = {
        "threshold": SCORE,
        "overlap_mask_area_threshold": OVERLAP,
        "label_ids_to_fuse": set(range(model.config.num_labels)) - set(things),
        "target_sizes": [picture.shape[:2]],
    }

    def outputs() -> Any:
        return model(**processor(images=picture, return_tensors="pt", input_data_format="channels_last"))

    @torch.inference_mode()
    def to_map() -> NDArray[np.int32]:
        found = processor.post_process_panoptic_segmentation(outputs(), **options)
        return np.asarray(found[0]["segmentation"].numpy(), np.int32)

    found = outputs()
    write(answer, (found.class_queries_logits[0], found.masks_queries_logits[0]), things)
    return {MAP: to_map}


def write(answer: Path, outputs: Outputs, things: Collection[int]) -> None:
    Answer(outputs[0].numpy(), outputs[1].numpy(), merged(outputs, things)).write(answer)


def merged(outputs: Outputs, things: Collection[int]) -> NDArray[np.int32]:
    """Return the segment map of a picture of the input's size, merged as published."""
    logits, masks = outputs
    size = STRIDE * masks.shape[1], STRIDE * masks.shape[2]
    found = panoptic(logits, masks, padded_size=size, image_size=size, output_size=size, things=things)
    return np.asarray(found.numpy(), np.int32)
