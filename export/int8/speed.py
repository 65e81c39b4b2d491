"""Compares the speed of models on this machine by running them in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from pem_edge.runtime import backends
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.manifest import Manifest
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.files import temporary_folder
from pem_edge.runtime.inference import batches

RUNS = 15
"""Number of runs that a median is taken over."""

FEWEST_RUNS = 5
"""Number of runs after which no more follow once `SECONDS` are over, as with large models."""

SECONDS = 10.0
"""Time that all runs may take."""

WARM_UP_RUNS = 3
"""Number of runs before those, which are not counted."""


def measure_gain(floating: tuple[onnx.ModelProto, Manifest], int8: tuple[onnx.ModelProto, Manifest]) -> Manifest:
    """Time a model in floating point and in INT8 on this machine.

    Args:
        floating: The graph in floating point, and its manifest.
        int8: The same graph in INT8, and its manifest.

    Returns:
        The manifest of ``int8`` with both times.

    Raises:
        BackendError: If no backend runs the two.
    """
    backend, times = time_models({floating[1].precision: floating, "int8": int8})
    return add_times(int8[1], times, backend)


def time_models(models: Mapping[str, tuple[onnx.ModelProto, Manifest]]) -> tuple[str, dict[str, float]]:
    """Time ``models`` in the default backend.

    Args:
        models: Each model and its manifest, by a name of the caller's choice. All must run in the same backend.

    Returns:
        The name of the backend, and by model the median time of a run in milliseconds.

    Raises:
        BackendError: If no backend runs the models.
    """
    with temporary_folder() as folder, ExitStack() as stack:
        loaded: dict[str, Backend] = {}
        for name, (proto, manifest) in models.items():
            artifact = Artifact(folder / f"{name}.onnx", manifest)
            onnx.save(proto, artifact.model)
            loaded[name] = stack.enter_context(closing(backends.create(None, artifact)))
        return next(iter(loaded.values())).name, time_backends(loaded)


def time_backends(loaded: Mapping[str, Backend]) -> dict[str, float]:
    """Return by name the median time of a run in milliseconds.

    The backends take turns, so that a change of the clock frequency affects all of them alike. Each gets one batch of
    noise, of the default image size and the minimum batch size.
    """
    times: dict[str, list[float]] = {name: [] for name in loaded}
    images = {name: _make_batch(backend.artifact.manifest) for name, backend in loaded.items()}
    end = time.perf_counter() + SECONDS
    for run in range(WARM_UP_RUNS + RUNS):
        if run >= WARM_UP_RUNS + FEWEST_RUNS and time.perf_counter() > end:
            break
        for name, backend in loaded.items():
            start = time.perf_counter()
            backend(images[name])
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(measured[WARM_UP_RUNS:]) for name, measured in times.items()}


def add_times(manifest: Manifest, times: dict[str, float], place: str) -> Manifest:
    """Return a copy of an INT8 model's manifest with the time of a run by precision, in milliseconds.

    Args:
        manifest: The manifest of the INT8 model.
        times: The time of a run by precision.
        place: The backend or GPU in which the times were measured.
    """
    assert manifest.quantization is not None
    quantization = msgspec.structs.replace(manifest.quantization, milliseconds=times, timed_in=place)
    return msgspec.structs.replace(manifest, quantization=quantization)


def _make_batch(manifest: Manifest) -> NDArray[np.uint8]:
    spec = manifest.input
    shape = (batches.smallest(spec), spec.height, spec.width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
