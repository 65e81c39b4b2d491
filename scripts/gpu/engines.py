"""Engines as a user builds them, by pem-export and its gates, for whichever engine is installed; parity and times."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pem_edge.runtime.errors import BackendError
from scripts.gpu.bench import Bench
from scripts.gpu.devices.device import random_frame
from scripts.gpu.pipeline import stages
from scripts.gpu.tasks import OutOfTime, Row, Skipped, Task

if TYPE_CHECKING:
    from pem_edge.runtime.artifacts.artifact import Artifact
    from pem_edge.runtime.backends.base import Backend

VARIANTS, SIZES, PRECISIONS = ("pem-r50", "pem-stdc1", "pem-stdc2"), ("1024x2048", "512x1024"), ("fp16", "fp32")
DEMO = "demo"
SECONDS = 60.0
RUNS, DRY_RUNS = 200, 3


class Engine(NamedTuple):
    """An engine.

    Attributes:
        name: What to call it.
        module: The module that it needs.
        target: What pem-export calls it.
        backend: The name of the backend that runs it.
        shares_graph: Whether a dry run builds it from the graph for ONNX Runtime, which saves tracing another one.
    """

    name: str
    module: str
    target: str
    backend: str
    shares_graph: bool = False


class Network(NamedTuple):
    """What an engine is built of; the variant "demo" is pem-nano with trained weights."""

    variant: str
    size: str
    precision: str


TRAINED = tuple(Network(DEMO, "256x512", precision) for precision in PRECISIONS)
"""What shows whether each layer is right; random weights show the times of large networks, and that they build."""
ENCODERS = tuple(Network(variant, "640x640", precision) for variant in ("eomt-s", "eomt-l") for precision in PRECISIONS)
"""EoMT at the size that it was trained at."""

DRY = (Network(DEMO, "64x96", "fp32"),)


ENGINES = (
    Engine("TensorRT", "tensorrt", "trt", "tensorrt"),
    Engine("ONNX Runtime", "onnxruntime", "onnx", "onnxruntime"),
    Engine("TensorRT-RTX", "tensorrt_rtx", "trt-rtx", "tensorrt-rtx", shares_graph=True),
)
"""All that this section knows; where one is missing, that is no failure, and where all are, the section is skipped."""


def tasks(bench: Bench) -> Iterator[Task]:
    """Yield a task for each network that each installed engine builds."""
    reasons = {engine: _missing(engine, bench) for engine in ENGINES}
    installed = [engine for engine, reason in reasons.items() if reason is None]
    if not installed:
        raise Skipped("; ".join(f"{engine.name}: {reason}" for engine, reason in reasons.items()))
    for engine, reason in reasons.items():
        if reason is not None:
            yield Task("not installed", {"engine": engine.name, "why": reason}, 0, dict)
    networks = (*TRAINED, *ENCODERS, *map(Network._make, product(VARIANTS, SIZES, PRECISIONS)))
    for network, engine in product(DRY if bench.device.dry else networks, installed):
        key = {"engine": engine.name, **network._asdict()}
        yield Task("engines", key, SECONDS, partial(_check, engine, network, bench))


def _missing(engine: Engine, bench: Bench) -> str | None:
    """Return why an engine cannot be used, None if it can."""
    if find_spec(engine.module) is None:
        return f"no module {engine.module}"
    if engine.module == "onnxruntime" and not bench.device.dry:
        providers = import_module("onnxruntime").get_available_providers()
        return None if "CUDAExecutionProvider" in providers else "built without CUDA's provider"
    if engine.module == "tensorrt_rtx" and not bench.device.dry:
        capability = bench.device.compute_capability()
        known = hasattr(import_module("tensorrt_rtx").ComputeCapability, f"SM{capability.replace('.', '')}")
        return None if known else f"knows no compute capability {capability}"
    return None


def _check(engine: Engine, network: Network, bench: Bench) -> Row:
    weights, start = _weights(bench.folder, network.variant), time.perf_counter()
    if engine.shares_graph and bench.device.dry:
        said = _export(engine.target, _graph(network, weights, bench), [], bench)
    else:
        said = _from_weights(engine.target, network, weights, bench)
    built = {"built in s": time.perf_counter() - start, "pem-export": _figures(said)}
    return {**built, **_measure(engine, Path(said["model"]), bench)}


def _weights(folder: Path, variant: str) -> Path:
    """Return the trained weights, or random ones, the same every time."""
    import torch

    from pem_edge import pem
    from pem_edge.pem import checkpoints
    from reference.weights import randomized
    from scripts.gpu.networks.forms import CLASSES

    if variant == DEMO:
        return checkpoints.DEMO_FILE
    path = folder / f"{variant}.pth"
    if not path.exists():
        torch.save(randomized(pem.build(variant, num_classes=CLASSES)).state_dict(), path)
    return path


def _graph(network: Network, weights: Path, bench: Bench) -> Path:
    """Return the graph for ONNX Runtime, traced if it has not been."""
    made = [*(bench.folder / _name("onnx", network)).glob("*.onnx")]
    return made[0] if made else Path(_from_weights("onnx", network, weights, bench)["model"])


def _from_weights(target: str, network: Network, weights: Path, bench: Bench) -> dict[str, Any]:
    options = ["--size", network.size, "--precision", network.precision, "-o", _name(target, network)]
    shared = ["--deform-conv", "gather"] if bench.device.dry else []  # a graph that engines can be built of, too
    return _export(target, weights, [*options, *shared], bench)


def _name(target: str, network: Network) -> str:
    """Return the name of a folder; it ends in "/", as pem-export wants it."""
    return f"{'-'.join(network)}-{target}/"


def _export(target: str, source: Path, options: Sequence[str], bench: Bench) -> dict[str, Any]:
    """Return what pem-export says as JSON."""
    command = [sys.executable, "-m", "pem_edge.export.cli.export", "--weights", str(source), "--to", target, *options]
    seconds = bench.deadline.remaining()
    try:
        done = subprocess.run(
            [*command, "--overwrite", "--json"], cwd=bench.folder, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired as late:
        raise OutOfTime from late
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["pem-export said nothing"])[-1])
    said = dict(json.loads(done.stdout))
    return {**said, "model": str(bench.folder / said["model"])}


def _figures(said: dict[str, Any]) -> dict[str, Any]:
    """Return what pem-export found out, of the graph in each backend and of the engine, without single images."""
    return {
        name: _figures(value) if isinstance(value, dict) else value
        for name, value in said.items()
        if isinstance(value, (bool, int, float, dict))
    }


def _measure(engine: Engine, model: Path, bench: Bench) -> Row:
    """Return the gate's verdict and times; an engine that this machine cannot load was built, no more."""
    from pem_edge.runtime import backends
    from pem_edge.runtime.artifacts import artifact

    found = artifact.read(model)
    try:
        backend = backends.create(engine.backend, found)
    except BackendError as reason:
        if bench.device.dry and engine.target != "onnx":
            return {"built only": str(reason)}
        raise
    spec, runs = found.manifest.input, DRY_RUNS if bench.device.dry else RUNS
    with closing(backend):
        return {
            "deform_conv": found.manifest.deform_conv,
            **(_verify(backend, found) if engine.target == "onnx" else {}),  # pem-export verifies what it builds
            **_times(backend, (spec.height, spec.width), runs),
            "stages": stages.measure(backend, max(2, runs // 4)),
        }


def _verify(backend: Backend, found: Artifact) -> Row:
    from pem_edge.runtime.verification import verify

    outcome = verify.examine(backend, found, lambda _text: None)
    parity = outcome.verification.parity
    row: Row = {"within tolerance": f"{parity.within_tolerance} of {parity.images}"}
    return row if outcome.complaint is None else {**row, "failed": outcome.complaint}


def _times(backend: Any, size: tuple[int, int], runs: int) -> Row:
    """Return milliseconds from host to host, transfers included."""
    image = random_frame(size)[None]
    times = []
    for _ in range(runs + max(1, runs // 5)):
        start = time.perf_counter()
        backend(image)
        times.append(1000 * (time.perf_counter() - start))
    p50, p90, p99 = np.percentile(times[-runs:], [50, 90, 99]).tolist()
    return {"ms, p50": p50, "p90": p90, "p99": p99, "FPS": 1000 / float(np.mean(times[-runs:]))}
