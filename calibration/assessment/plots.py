"""Plots of statistics and of the sensitivity of blocks. They need matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pem_edge.calibration.activations.ranges import METHODS, find
from pem_edge.calibration.activations.tensor_statistics import Statistics
from pem_edge.runtime.errors import CalibrationError
from pem_edge.runtime.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLORS = ("tab:gray", "tab:blue", "tab:orange", "tab:green")


def plot_statistics(statistics: Statistics, path: Path) -> None:
    """Draw each tensor's histogram, counts on a logarithmic scale, with the symmetric range of each method.

    Args:
        statistics: The statistics to draw.
        path: The image file to write; its suffix selects the format.

    Raises:
        CalibrationError: If matplotlib is not installed.
        OutputError: If the file cannot be written.
    """
    count = len(statistics.tensors)
    figure, axes = _figure(rows=count, height=1.6 * count)
    for axis, (key, tensor) in zip(axes, statistics.tensors.items(), strict=True):
        histogram = tensor.histogram
        axis.stairs(np.maximum(histogram.counts, 0.5), histogram.edges, fill=True, color="lightgray")
        for method, color in zip(METHODS, _COLORS, strict=True):
            axis.axvline(find(histogram, method, symmetric=True)[1], color=color, label=method)
        axis.set(yscale="log", title=key, xlim=(min(histogram.minimum, 0), histogram.reach))
    axes[0].legend(loc="upper right")
    _save(figure, path)


def plot_sensitivity(drops: Mapping[str, float], path: Path, unit: str = "PQ") -> None:
    """Draw the loss that each block causes in INT8 as a bar, the first block of ``drops`` at the top.

    Args:
        drops: The drop in score by block, in percentage points, see `sensitivity`.
        path: The image file to write; its suffix selects the format.
        unit: The name of the score.

    Raises:
        CalibrationError: If matplotlib is not installed.
        OutputError: If the file cannot be written.
    """
    figure, (axis,) = _figure(rows=1, height=1 + 0.25 * len(drops))
    axis.barh(list(drops), list(drops.values()))
    axis.invert_yaxis()
    axis.set(xlabel=f"{unit} lost with this block alone in INT8")
    _save(figure, path)


def _figure(rows: int, height: float) -> tuple[Figure, Sequence[Axes]]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise CalibrationError("plots need matplotlib: pip install matplotlib") from error
    figure = Figure(figsize=(9, height), layout="constrained")
    return figure, list(figure.subplots(rows, squeeze=False)[:, 0])


def _save(figure: Figure, path: Path) -> None:
    with write_atomically(path) as temporary:
        figure.savefig(temporary)
