"""Where the time of a run of the model goes, node by node as the backend runs them after its own rewriting."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.backends import Settings
from pem_edge.runtime.benchmark.schema import Layer, Profile
from pem_edge.runtime.errors import BackendError

RUNS = 10
COSTLIEST = 10
_KERNEL = "_kernel_time"
_GPU_CURE = "see NVIDIA's tools, trtexec --dumpProfile or nsys"

Nodes = Mapping[tuple[str, str], float]
"""Milliseconds a run, by name and type of node."""


def profile(artifact: Artifact, backend: str, settings: Settings, batch: NDArray[np.uint8]) -> Profile:
    """The profile of ``RUNS`` runs of ``batch``, uint8 (N, H, W, 3), the first of all left out.

    The model is loaded anew: taking times node by node costs time, and no other measurement shall pay it. Raises
    BackendError if the backend has no profiler that is known here, or fails.
    """
    if backend not in _PROFILERS:
        raise BackendError(f"{backend} gives no times of layers here: {_GPU_CURE}")
    try:
        return summary(_PROFILERS[backend](artifact, settings, batch))
    except BackendError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise BackendError(f"{backend} cannot profile {artifact.model} ({reason}): leave the profile out") from error


def summary(nodes: Nodes) -> Profile:
    """The costliest nodes, and the time of all by type."""
    total = sum(nodes.values())
    by_type: Counter[str] = Counter()
    for (_, kind), milliseconds in nodes.items():
        by_type[kind] += milliseconds  # type: ignore[assignment]  # counts of time
    costliest = sorted(nodes.items(), key=lambda item: item[1], reverse=True)[:COSTLIEST]
    return Profile(
        layers=tuple(
            Layer(name=name, type=kind, milliseconds=milliseconds, share=milliseconds / total if total else 0.0)
            for (name, kind), milliseconds in costliest
        ),
        by_type=dict(by_type.most_common()),
        total=total,
    )


def onnxruntime_nodes(events: list[dict[str, Any]]) -> Nodes:
    """The nodes in what ONNX Runtime's profiler writes, a list of Chrome trace events (microseconds).

    Each run is one event "model_run", which is written when it ends; the first is left out.
    """
    runs = sorted(event["ts"] + event["dur"] for event in events if event.get("name") == "model_run")
    nodes: dict[tuple[str, str], float] = {}
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") == "Node" and name.endswith(_KERNEL) and event["ts"] >= runs[0]:
            key = name.removesuffix(_KERNEL), str(event["args"]["op_name"])
            nodes[key] = nodes.get(key, 0.0) + event["dur"] / 1000 / (len(runs) - 1)
    return nodes


def _onnxruntime(artifact: Artifact, settings: Settings, batch: NDArray[np.uint8]) -> Nodes:
    import onnxruntime as ort

    from pem_edge.runtime.backends import onnxruntime as backend

    providers = backend.providers()
    if len(providers) > 1:
        raise BackendError(f"onnxruntime times the launches of kernels on a GPU, not the kernels: {_GPU_CURE}")
    with tempfile.TemporaryDirectory(prefix="pem-bench-") as folder:
        options = backend.options(settings)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        disabled = backend.disabled_optimizers(artifact)
        session = ort.InferenceSession(artifact.model, options, providers=providers, disabled_optimizers=disabled)
        for _ in range(1 + RUNS):
            session.run(None, {artifact.manifest.input.name: batch})
        return onnxruntime_nodes(json.loads(Path(session.end_profiling()).read_text()))


def _openvino(artifact: Artifact, settings: Settings, batch: NDArray[np.uint8]) -> Nodes:
    from pem_edge.runtime.backends import openvino as backend

    options = {**backend.options(settings), "PERF_COUNT": "YES"}
    model = backend.core().compile_model(backend.core().read_model(artifact.model), "CPU", options)
    request = model.create_infer_request()
    request.infer({artifact.manifest.input.name: batch})
    nodes: dict[tuple[str, str], float] = {}
    for _ in range(RUNS):
        request.infer({artifact.manifest.input.name: batch})
        for node in request.profiling_info:
            if (milliseconds := 1000 * node.real_time.total_seconds() / RUNS) > 0:
                key = node.node_name, node.node_type
                nodes[key] = nodes.get(key, 0.0) + milliseconds
    return nodes


_PROFILERS: Mapping[str, Callable[[Artifact, Settings, NDArray[np.uint8]], Nodes]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
}
