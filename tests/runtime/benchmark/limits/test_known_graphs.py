"""Graphs whose limits are known come out with them, as real backends run them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.backends import Settings, available, create
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.benchmark.measures import layers, rates
from pem_edge.runtime.benchmark.measures.limits import bandwidth, compute, node_work, probes, roofline
from pem_edge.runtime.benchmark.measures.limits.compute import ComputeRates
from pem_edge.runtime.benchmark.measures.limits.roofline import MachineLimits
from pem_edge.runtime.benchmark.options import Options
from pem_edge.runtime.benchmark.run import run
from pem_edge.runtime.benchmark.schema import ArtifactReport
from pem_edge.runtime.inference.profiled_nodes import Nodes
from reference import limit_graphs
from reference.limit_graphs import GRAPHS, SPEC

MACHINE = MachineLimits({"fp32": ComputeRates(1e11, 1e11)}, [(1, 1e10)])
BACKENDS = sorted({"onnxruntime", "openvino"} & set(available()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("limits")
    for bound in GRAPHS:
        limit_graphs.write(folder, bound)
    return folder


def load(folder: Path, bound: str, backend: str) -> Backend:
    return create(backend, artifact.read(folder / f"{bound}.onnx"), Settings(threads=1))


@pytest.fixture
def short_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "PROBES", (probes.convolution(64, 16, 32), probes.product(256, 256)))
    monkeypatch.setattr(compute, "_SECONDS", 0.0)
    monkeypatch.setattr(compute, "_measured", {})
    monkeypatch.setattr(bandwidth, "_TURNS", 1)
    monkeypatch.setattr(bandwidth, "_measured", {})


@cache
def profiled(folder: Path, bound: str, backend: str) -> Nodes:
    return load(folder, bound, backend).profile(np.zeros((1, SPEC.height, SPEC.width, 3), np.uint8), 1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bound", ["compute", "memory"])
def test_their_limit_on_a_made_up_machine_is_known(backend: str, bound: str, folder: Path) -> None:
    """The few nodes around them add a little."""
    graph = GRAPHS[bound]
    works = node_work.known(profiled(folder, bound, backend))
    assert sum(work.macs for work in works) == graph.macs
    assert sum(work.nbytes for work in works) == pytest.approx(graph.nbytes, rel=0.3)
    expected = 1000 * max(graph.macs / 1e11, graph.nbytes / 1e10)
    assert roofline.least_milliseconds(works, MACHINE) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bound", ["compute", "memory"])
def test_what_binds_them_on_a_made_up_machine_is_known(backend: str, bound: str, folder: Path) -> None:
    limits = [roofline.limit(work, MACHINE) for work in node_work.known(profiled(folder, bound, backend))]
    heaviest = sorted(limits, key=lambda limit: limit.milliseconds, reverse=True)[:5]
    assert {limit.bound(2 * limit.milliseconds) for limit in heaviest} == {bound}


@pytest.mark.parametrize("backend", BACKENDS)
def test_tiny_nodes_are_bound_by_overhead(backend: str, folder: Path) -> None:
    """A machine on which starting a node takes less than 256 bytes do is not to be had, and load makes it slower."""
    found = layers.summary(profiled(folder, "overhead", backend), MACHINE)
    assert found.by_bound["overhead"] > 0.8 * found.total


def report(folder: Path, backend: str) -> ArtifactReport:
    options = Options(
        rounds=2, most_rounds=2, scenarios=(), scenario_seconds=0, cold_starts=0, memory=False, backend=backend
    )
    return run([str(folder / "compute.onnx")], options, lambda _: None).artifacts[0]


@pytest.mark.usefixtures("short_measurement")
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_report_has_limits_of_this_machine(backend: str, folder: Path) -> None:
    found = report(folder, backend)
    assert found.profile is not None
    assert found.rate is not None
    assert found.rate.counted == 1
    assert (found.rate.fraction or 0) > 0
    assert (found.rate.doubt is None) == ((found.rate.fraction or 0) <= 1)
    assert sum(found.profile.by_bound.values()) == pytest.approx(found.profile.total)
    convolutions = [layer for layer in found.profile.layers if layer.macs]
    assert len(convolutions) == layers.COSTLIEST < limit_graphs.CONVOLUTIONS
    for layer in convolutions:
        assert layer.fraction == pytest.approx((layer.limit or 0) / layer.milliseconds)
        assert (layer.doubt is None) == ((layer.fraction or 0) <= 1)


def test_nodes_and_inference_are_held_against_the_same_limits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is faster every time that it is measured would otherwise have two limits in a report."""
    measured: list[MachineLimits] = []

    def measure(*_: object, **_options: object) -> MachineLimits:
        rate = 1e15 * 10 ** len(measured)
        measured.append(MachineLimits({"fp32": ComputeRates(rate, rate)}, [(1, rate)]))
        return measured[-1]

    monkeypatch.setattr(roofline, "measure", measure)
    found = report(folder, BACKENDS[0])
    assert len(measured) == 1
    assert found.rate is not None
    assert found.rate.convolution == found.rate.bandwidth == 1e15


@pytest.mark.usefixtures("short_measurement")
@pytest.mark.parametrize("backend", BACKENDS)
def test_without_a_profile_the_limit_is_that_of_the_arithmetic(backend: str, folder: Path) -> None:
    loaded, graph = load(folder, "compute", backend), GRAPHS["compute"]
    work = loaded.artifact.manifest.work
    assert work is not None
    limits = roofline.measure(loaded, ["fp32"])
    found = rates.on_cpu(loaded.artifact.manifest, work, 1.0, [], limits)
    assert found.limit == pytest.approx(1000 * graph.macs / limits.compute["fp32"].highest)
    assert (found.fraction, found.counted) == (found.limit, None)


@pytest.mark.usefixtures("short_measurement")
def test_a_graph_may_have_no_arithmetic_that_counts(folder: Path) -> None:
    nodes = profiled(folder, "memory", BACKENDS[0])
    loaded = load(folder, "memory", BACKENDS[0])
    work = loaded.artifact.manifest.work
    assert work is not None
    limits = roofline.measure(loaded, ["fp32"])
    found = rates.on_cpu(loaded.artifact.manifest, work, 1.0, node_work.known(nodes), limits)
    assert (found.macs, found.counted) == (0, None)
    assert (found.limit or 0) > 0
