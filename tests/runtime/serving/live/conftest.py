"""Results to show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pem_edge import runtime
from pem_edge.runtime.serving.live import Board, LivePage


@pytest.fixture
def result(tiny: Path, flag: NDArray[np.uint8]) -> runtime.Result:
    """Return the flag's: a red thing, white and blue stuff."""
    return runtime.load(tiny)(np.repeat(np.repeat(flag, 4, axis=0), 4, axis=1))


@pytest.fixture
def board() -> Iterator[Board]:
    made = Board("camera 7", "tiny.onnx in onnxruntime")
    yield made
    made.end()


@pytest.fixture
def page(board: Board) -> Iterator[LivePage]:
    with LivePage(board, port=0) as served:
        yield served
