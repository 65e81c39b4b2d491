"""TensorBoard gets every figure, and its absence is told with what helps."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from pem_edge.pem.training.reporting.tensorboard import Board
from pem_edge.runtime.errors import TrainingError


def test_without_tensorboard_the_error_says_how_to_install_it(tmp_path: Path) -> None:
    if find_spec("tensorboard") is not None:
        pytest.skip("tensorboard is installed")
    with pytest.raises(TrainingError, match=r"--tensorboard needs tensorboard.*pip install tensorboard, or leave"):
        Board(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_figures_are_written_by_step(tmp_path: Path) -> None:
    reason = "tensorboard is an option that this package does not depend on"
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason=reason)
    board = Board(tmp_path)
    board.metrics(20, {"loss": 3.0})
    board.validation(40, {"pq": 50.0, "miou": None})
    board.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(events.Tags()["scalars"]) == {"train/loss", "validation/pq"}
    assert [(each.step, each.value) for each in events.Scalars("validation/pq")] == [(40, 50.0)]
