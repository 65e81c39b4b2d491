"""How long models take on this machine, measured side by side."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import onnx

from pem_edge.runtime import backends
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.manifest import Manifest
from pem_edge.runtime.backends.base import Backend

RUNS, WARM_UP = 15, 3


def milliseconds(models: Mapping[str, tuple[onnx.ModelProto, Manifest]]) -> tuple[str, dict[str, float]]:
    """Return the backend that runs all of ``models`` fastest, and a run's median time in it by the model's name.

    Runs take turns, so that a machine whose clock drifts favors none. The image is of the usual size, the batch the
    smallest. Raises BackendError if no backend runs them.
    """
    with tempfile.TemporaryDirectory(prefix="pem-speed-") as folder, ExitStack() as stack:
        engines: dict[str, Backend] = {}
        for name, (proto, manifest) in models.items():
            artifact = Artifact(Path(folder) / f"{name}.onnx", manifest)
            onnx.save(proto, artifact.model)
            engines[name] = stack.enter_context(closing(backends.create(None, artifact)))
        return next(iter(engines.values())).name, clock(engines)


def clock(engines: Mapping[str, Backend]) -> dict[str, float]:
    """Return a run's median time in each of ``engines``, which take turns."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    images = {name: _images(engine.artifact.manifest) for name, engine in engines.items()}
    for _ in range(WARM_UP + RUNS):
        for name, engine in engines.items():
            start = time.perf_counter()
            engine(images[name])
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(found[WARM_UP:]) for name, found in times.items()}


def verdict(found: Mapping[str, float], other: str, place: str) -> str:
    """Return what the times of "int8" and of the precision ``other`` come to, in words."""
    ratio = found[other] / found["int8"]
    compared = f"{ratio:.2f} times as fast as" if ratio > 1 else f"NOT FASTER ({ratio:.2f} times as fast) than"
    return f"on this machine, in {place}, INT8 is {compared} {other}"


def _images(manifest: Manifest) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    spec = manifest.input
    batch = spec.dynamic_batch.least if spec.dynamic_batch else spec.batch
    return np.random.default_rng(0).integers(0, 256, (batch, spec.height, spec.width, 3), dtype=np.uint8)
