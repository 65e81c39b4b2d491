"""Fixtures that give each TensorRT backend, on a simulated machine and on the real one if it has a GPU."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from pem_edge.runtime.backends.cuda import driver
from pem_edge.runtime.errors import BackendError
from reference.cuda_simulation.cuda import Cuda
from tests.runtime.backends.tensorrt.engine_bench import MODULES, Bench, Builder, SimulatedBench, simulation


def _skip_without_gpu(name: str) -> None:
    if find_spec(MODULES[name]) is None:
        pytest.skip(f"{name} is not installed")
    try:
        capability = driver.Gpu().compute_capability
    except BackendError as error:
        pytest.skip(str(error))
    known = getattr(importlib.import_module(MODULES[name]), "ComputeCapability", None)  # TensorRT-RTX has a list
    if known is not None and not hasattr(known, f"SM{capability.replace('.', '')}"):
        pytest.skip(f"{name} knows no compute capability {capability}")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(params=["tensorrt", "tensorrt-rtx"])
def simulated(
    request: pytest.FixtureRequest, build: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SimulatedBench]:
    """Yield each target of TensorRT on a simulated machine."""
    with simulation(SimulatedBench(request.param, build, tmp_path, Cuda()), monkeypatch) as bench:
        yield bench


@pytest.fixture(
    params=[
        "simulated tensorrt",
        "simulated tensorrt-rtx",
        *(pytest.param(f"real {name}", marks=pytest.mark.gpu) for name in MODULES),
    ]
)
def bench(
    request: pytest.FixtureRequest, build: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    """Yield each target of TensorRT, on a simulated machine and on this machine's GPU."""
    kind, name = request.param.split()
    if kind == "simulated":
        with simulation(SimulatedBench(name, build, tmp_path, Cuda()), monkeypatch) as bench:
            yield bench
        return
    _skip_without_gpu(name)
    real = Bench(name, build, tmp_path)
    yield real
    for backend in real.loaded:
        backend.close()
