"""Statistics and sensitivities can be drawn, where matplotlib is installed."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from pem_edge.calibration.activations.collect import collect
from pem_edge.calibration.activations.tensor_statistics import Statistics
from pem_edge.calibration.assessment import plots
from pem_edge.calibration.placement import tensors
from pem_edge.runtime import images
from pem_edge.runtime.errors import CalibrationError
from tests.calibration.graphs import SIZE, Noise, chain


def test_statistics_are_drawn_a_tensor_below_the_other(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    model, noise = chain(), Noise(2)
    statistics = Statistics(collect(model, tensors(model), noise), "", "", 2, SIZE)
    plots.plot_statistics(statistics, tmp_path / "statistics.png")
    height, width, _ = images.read(tmp_path / "statistics.png").shape
    assert (height, width) == (160 * len(statistics.tensors), 900)


def test_sensitivities_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    plots.plot_sensitivity({"backbone.stem": 0.4, "decoder": -0.1}, tmp_path / "sensitivity.png")
    picture = images.read(tmp_path / "sensitivity.png")
    assert len(set(map(tuple, picture.reshape(-1, 3).tolist()))) > 2


def test_without_matplotlib_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(CalibrationError, match=r"^plots need matplotlib: pip install matplotlib$"):
        plots.plot_sensitivity({"a": 1.0}, tmp_path / "a.png")
