"""How long the stages from an image to its map take on the GPU, beside those with the merge on the CPU."""

from __future__ import annotations

import statistics
import time
from typing import Any

from pem_edge.runtime.artifacts.manifest import Thresholds
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.inference.host_pipeline import HostPipeline
from pem_edge.runtime.inference.pipeline import AnyPipeline
from scripts.gpu.devices.device import random_frame

EVERYBODY = Thresholds(score=0.0, overlap=0.0)
"""Of random weights, few queries would take part; this way all do, which is the most that a merge may cost."""


def measure(engine: Backend, runs: int) -> dict[str, dict[str, float]]:
    """Return median milliseconds of each stage and of all, by pipeline and size of frame, over ``runs`` runs each.

    The whole is also measured on a frame that has to be shrunk.
    """
    spec = engine.artifact.manifest.input
    found = {}
    for name, size in (("", (spec.height, spec.width)), (" of a frame to shrink", (2 * spec.height, 2 * spec.width))):
        for kind, pipeline in (("device", engine.pipeline()), ("host", HostPipeline.of(engine))):
            found[kind + name] = _medians(pipeline, size, runs)
    return found


def _medians(pipeline: AnyPipeline, size: tuple[int, int], runs: int) -> dict[str, float]:
    image = random_frame(size)
    _run(pipeline, image)
    times = [_run(pipeline, image) for _ in range(runs)]
    return {stage: statistics.median(run[stage] for run in times) for stage in times[0]}


def _run(pipeline: AnyPipeline, image: Any) -> dict[str, float]:
    start = time.perf_counter()
    (merged,) = pipeline.merge(pipeline.infer([pipeline.prepare(image)], EVERYBODY))
    return {**merged.milliseconds, "total": 1000 * (time.perf_counter() - start)}
