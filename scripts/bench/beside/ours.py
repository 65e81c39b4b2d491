"""Our artifacts, from an array to a panoptic map; as on a device, PyTorch is not imported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

import pem_edge
from scripts.bench.beside.answers import Answer
from scripts.bench.networks.turns import Run

MAP = "array to map"


def prepare(artifact: Path, backend: str, picture: Path, answer: Path) -> Mapping[str, Run]:
    """Prepare an artifact, and write what it answers for the picture."""
    segmenter, image = pem_edge.load(artifact, backend=backend), np.load(picture)
    result = segmenter(image)
    logits, masks = result.outputs()
    Answer(logits, masks, result.panoptic).write(answer)
    return {MAP: lambda: segmenter(image).panoptic}
