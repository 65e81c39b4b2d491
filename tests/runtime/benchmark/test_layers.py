"""Profiles name the nodes that take the time, in every backend that gives them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.backends import Settings, create
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.backends.onnxruntime import OnnxRuntime
from pem_edge.runtime.backends.ort_profile import profiled_nodes
from pem_edge.runtime.benchmark.measures import layers
from pem_edge.runtime.benchmark.measures.limits import node_work
from pem_edge.runtime.errors import BackendError

BATCH = np.zeros((1, 256, 512, 3), np.uint8)
needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")


def load(model: Path | str, backend: str = "onnxruntime") -> Backend:
    return create(backend, artifact.read(model), Settings(threads=1))


@pytest.mark.parametrize("backend", ["onnxruntime", pytest.param("openvino", marks=needs_openvino)])
def test_the_demo_model(backend: str) -> None:
    nodes = layers.nodes(load("demo", backend), BATCH)
    profile = layers.summary(nodes, None)
    times = [layer.milliseconds for layer in profile.layers]
    assert len(times) == layers.COSTLIEST
    assert times == sorted(times, reverse=True)
    assert {"Conv", "Convolution"} & set(profile.by_type)
    assert sum(profile.by_type.values()) == pytest.approx(profile.total)
    assert 0.1 < sum(layer.share for layer in profile.layers) < 1
    work = artifact.read("demo").manifest.work
    assert work is not None
    assert sum(node.macs for node in node_work.known(nodes)) == pytest.approx(work.macs_total, rel=0.02)


def test_no_file_is_left_behind(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    layers.nodes(load(tiny), np.zeros((1, 64, 96, 3), np.uint8))
    assert set(tmp_path.iterdir()) == before


def event(name: str, start: int, duration: int, kind: str = "") -> dict[str, object]:
    category = "Node" if kind else "Session"
    return {"cat": category, "name": name, "ts": start, "dur": duration, "args": {"op_name": kind} if kind else {}}


def test_the_first_run_is_left_out_and_of_others_the_median_counts() -> None:
    events = [
        event("stem_kernel_time", 10, 9000, "Conv"),
        event("model_run", 0, 10_000),
        event("stem_fence_before", 20_000, 5000, "Conv"),
        event("stem_kernel_time", 20_100, 1000, "Conv"),
        event("head_kernel_time", 22_000, 400, "MatMul"),
        event("model_run", 20_000, 3000),
        event("stem_kernel_time", 30_100, 3000, "Conv"),
        event("head_kernel_time", 34_000, 600, "MatMul"),
        event("model_run", 30_000, 5000),
    ]
    profile = layers.summary(profiled_nodes(msgspec.json.encode(events)), None)
    assert [(layer.name, layer.type, layer.milliseconds) for layer in profile.layers] == [
        ("stem", "Conv", 2.0),
        ("head", "MatMul", 0.5),
    ]
    assert profile.layers[0].share == 0.8
    assert profile.by_type == {"Conv": 2.0, "MatMul": 0.5}


def test_what_cannot_be_profiled_says_so(tiny: Path) -> None:
    with pytest.raises(BackendError, match=r"onnxruntime cannot profile .*: leave the profile out"):
        layers.nodes(load(tiny), BATCH)


def test_launches_on_a_gpu_are_not_passed_off_as_its_time(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnnxRuntime, "gpu", "H200")
    with pytest.raises(BackendError, match="launches of kernels"):
        layers.nodes(load(tiny), BATCH)
