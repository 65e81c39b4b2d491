"""Our artifacts, from an array to a panoptic map; as on a device, PyTorch is not imported."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from scripts.bench.beside.answers import Answer
from scripts.bench.beside.cases import Contestant
from scripts.bench.networks.turns import Run

MAP = "array to map"


def prepare(contestant: Contestant, checkout: Path, artifact: Path, picture: Path, answer: Path) -> Mapping[str, Run]:
    """Prepare an artifact with the pem_edge of a checkout, and write what it answers for the picture."""
    sys.path.insert(0, str(checkout))
    import pem_edge

    load = partial(pem_edge.load, artifact, backend=contestant.backend)
    segmenter = load(bf16=True) if contestant.bf16 else load()  # older checkouts do not know the option
    image = np.load(picture)
    result = segmenter(image)
    logits, masks = result.outputs()
    Answer(logits, masks, result.panoptic).write(answer)
    return {MAP: lambda: segmenter(image).panoptic}
