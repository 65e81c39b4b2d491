"""Published checkpoints, written once a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from reference import published_models

Checkpoint = Callable[[str], Path]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Return a function from a golden model's name to its checkpoint, as detectron2 writes it."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return lambda model: published_models.write_checkpoint(model, folder)


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.inference_mode():
        yield
