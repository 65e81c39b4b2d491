"""A new backend needs only a class and a row in the table for all commands to support it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.sections import Work
from pem_edge.runtime.benchmark.measures.limits import compute, roofline
from pem_edge.runtime.errors import BackendError
from tests.helpers import made_up_backend
from tests.runtime.helpers import coco_folder

ROOT = Path(__file__).parents[3]
WORK = Work(macs={"Conv": 1000}, parameters=1, weight_bytes=30, activation_bytes=12, height=64, width=96, batch=1)
_ADD_ROW = """\
from pem_edge.runtime import backends
from tests.helpers.made_up_backend import ROW
backends.BACKENDS["made-up"] = ROW
"""
Command = Callable[..., dict[str, Any]]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Return a function that runs ``pem-<name>`` with the backend in the table, and returns the JSON output."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(_ADD_ROW)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}

    def run(name: str, *arguments: str | Path) -> dict[str, Any]:
        module = f"pem_edge.runtime.cli.{name}"
        call = f"import sys; from {module} import main; sys.exit(main(sys.argv[1:]))"
        done = subprocess.run(
            [sys.executable, "-c", call, *map(str, arguments), "--backend", "made-up", "--json"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


def test_pem_run_segments_with_it(command: Command, tiny: Path, flag: NDArray[np.uint8], tmp_path: Path) -> None:
    picture = tmp_path / "flag.png"
    Image.fromarray(flag).save(picture)
    found = command("run", tiny, picture, "--output", tmp_path / "out")
    assert sorted(segment["label"] for segment in found["images"][0]["segments"]) == ["blue", "red", "white"]


def test_pem_eval_scores_it(command: Command, tiny: Path, tmp_path: Path) -> None:
    found = command("eval", tiny, "--dataset", coco_folder.write(tmp_path / "dataset", 2))
    assert (found["backend"], found["pq"]["all"]["pq"]) == ("made-up", 100.0)


def test_pem_bench_measures_it_and_nothing_else(command: Command, build: Callable[..., Path]) -> None:
    found = command("bench", build(work=WORK), "--rounds", 2, "--seconds", 0)["artifacts"][0]
    assert found["backend"] == "made-up"
    assert found["rate"]["convolution"] > 0
    assert found["rate"]["matrix"] > 0
    assert found["rate"]["limit"] > 0
    assert found["rate"]["counted"] is None
    assert {(layer["name"], layer["type"]) for layer in found["profile"]["layers"]} == {
        ("grid", "Mean"),
        ("masks", "Product"),
    }
    assert found["memory"]["host"] > 0
    assert found["memory"]["device"] is None
    assert found["cold_start"]["total"]["samples"] > 0
    assert set(found["missing"]) == {"accuracy"}


def test_the_rate_is_that_of_its_own_models(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    clock = SimpleNamespace(perf_counter=lambda: now, sleep=sleep)
    monkeypatch.setattr(compute, "time", clock)
    monkeypatch.setattr(made_up_backend, "time", clock)
    monkeypatch.setattr(compute, "_measured", {})
    monkeypatch.setitem(backends.BACKENDS, "made-up", made_up_backend.ROW)
    backend = backends.create("made-up", artifact.read(tiny))
    fastest = max(probe.macs for probe in compute.PROBES) / made_up_backend.BARE_SECONDS
    assert compute.rates(backend, "fp32").highest == pytest.approx(fastest)


def test_what_a_backend_does_not_offer_is_missing_with_its_reason(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backends.BACKENDS, "made-up", made_up_backend.ROW)
    monkeypatch.delattr(made_up_backend.MadeUp, "profile")
    monkeypatch.delattr(made_up_backend.MadeUp, "open_bare")
    backend = backends.create("made-up", artifact.read(tiny))
    with pytest.raises(BackendError, match="made-up does not report the time of each layer: leave the profile out"):
        backend.profile(np.zeros((1, 64, 96, 3), np.uint8), 1)
    with pytest.raises(BackendError, match="made-up runs no models but exported ones"):
        roofline.measure(backend, ["fp32"])
