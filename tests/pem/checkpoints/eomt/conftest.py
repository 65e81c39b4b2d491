"""A model of transformers, its folder, and what opens from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch import Tensor

from pem_edge.pem.checkpoints import Checkpoint, open_checkpoint
from reference.huggingface import eomt

CLASSES = ["road", "sky", "car", "person", "crack"]
QUERIES, SIDE = 20, 96


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    theirs = eomt.build("small", CLASSES, QUERIES, SIDE)
    return eomt.write(theirs, tmp_path_factory.mktemp("written") / "roads-panoptic")


@pytest.fixture(scope="package")
def state(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="package")
def opened(folder: Path) -> Checkpoint:
    return open_checkpoint(folder, print)
