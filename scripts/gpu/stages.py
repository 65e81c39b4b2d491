"""How long the stages from an image to its map take on the GPU, beside those with the merge on the CPU."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from pem_edge.runtime.artifacts.manifest import Thresholds
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.inference.host_pipeline import HostPipeline
from pem_edge.runtime.inference.pipeline import AnyPipeline

RUNS, WARM_UP = 100, 20
EVERYBODY = Thresholds(score=0.0, overlap=0.0)
"""Weights are random, so few queries would take part; this way all do, which is the most that a merge may cost."""


def measure(engine: Backend) -> dict[str, Any]:
    """Return median milliseconds of each stage and of all, by pipeline.

    The whole is also measured on a frame that has to be shrunk.
    """
    device, host = engine.pipeline(), HostPipeline(engine)
    spec = engine.artifact.manifest.input
    found: dict[str, Any] = {"pipeline": engine.settings()["pipeline"]}
    for name, size in (("", (spec.height, spec.width)), (" of 1080x1920", (1080, 1920))):
        found |= {f"device{name}": _medians(device, size), f"host{name}": _medians(host, size)}
    return found


def _medians(pipeline: AnyPipeline, size: tuple[int, int]) -> dict[str, float]:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    runs = [_run(pipeline, image) for _ in range(WARM_UP + RUNS)][WARM_UP:]
    return {stage: statistics.median(run[stage] for run in runs) for stage in runs[0]}


def _run(pipeline: AnyPipeline, image: Any) -> dict[str, float]:
    start = time.perf_counter()
    (merged,) = pipeline.merge(pipeline.infer([pipeline.prepare(image)], EVERYBODY))
    return {**merged.milliseconds, "total": 1000 * (time.perf_counter() - start)}
