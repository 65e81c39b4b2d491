"""The figures of a run for TensorBoard, which this package does not depend on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pem_edge.runtime.errors import OutputError, TrainingError


class Board:
    """Writes figures for ``tensorboard --logdir RUN/tensorboard``.

    Args:
        folder: The folder of the run.
        step: The step after which the run goes on; later figures of an earlier process are hidden.

    Raises:
        TrainingError: If tensorboard is not installed.
        OutputError: If the folder cannot be written.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise TrainingError(
                f"--tensorboard needs tensorboard, which cannot be imported ({error}): pip install tensorboard, or "
                "leave --tensorboard out"
            ) from error
        try:
            self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        except OSError as error:
            raise OutputError(f"cannot write {folder / 'tensorboard'}: {error.strerror or error}") from error

    def metrics(self, step: int, row: Mapping[str, float]) -> None:
        """Add a row of metrics.csv, by column."""
        self._add("train", step, row)

    def validation(self, step: int, row: Mapping[str, float | None]) -> None:
        """Add a row of validation.csv, by column."""
        self._add("validation", step, row)

    def close(self) -> None:
        """Write what was added."""
        self._writer.close()

    def _add(self, group: str, step: int, row: Mapping[str, float | None]) -> None:
        for name, figure in row.items():
            if figure is not None:
                self._writer.add_scalar(f"{group}/{name}", figure, step)
