"""From a frame in host memory to its panoptic map in host memory, with a network of PyTorch as the engine."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing

import numpy as np
import torch
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.labels import things
from pem_edge.runtime.artifacts.manifest import Thresholds
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.datasets.toy_streets import LABELS
from pem_edge.runtime.inference import postprocess
from pem_edge.runtime.inference.host_pipeline import HostPipeline
from pem_edge.runtime.inference.segmenter import Segmenter
from pem_edge.runtime.results.segments import Segment
from pem_edge.runtime.sources import Footage, Frame
from scripts.gpu.bench import Bench
from scripts.gpu.devices.device import random_frame
from scripts.gpu.networks.forms import Case, build, expected, images
from scripts.gpu.pipeline.kernels import tolerated
from scripts.gpu.pipeline.stages import EVERYBODY, measure
from scripts.gpu.pipeline.torch_engine import TorchBackend
from scripts.gpu.tasks import Row

DIFFERENT = 4
"""How many frames take turns."""
UNLIKE = 0.01
"""The largest share of a street's pixels that may be of another class than the published network says in float32."""


def run(case: Case, frames: int, bench: Bench) -> Row:
    """Return rates, latencies and the time of each stage of a network, and whether its maps are right."""
    classes = _published_classes(case, bench) if case.weights == "demo" else None
    with closing(TorchBackend(case, build(case, bench), bench.device)) as backend:
        segmenter = Segmenter(backend, EVERYBODY)
        off = _pixels_off(backend, random_frame(case.size))
        alone = [_latency(segmenter, frame) for frame in Frames(case.size, frames)]
        stream, fps = _stream(segmenter, Frames(case.size, frames))
        row: Row = {
            "pixels off": off,
            **({} if classes is None else _agreement(backend, classes, case, bench)),
            "FPS": fps,
            "FPS one by one": 1000 / float(np.mean(alone)),
            **_percentiles("one by one", alone),
            **_percentiles("in a stream", stream),
            "stages": measure(backend, max(2, frames // 5)),
        }
        return {**row, **({"failed": "another map than the CPU's"} if off > tolerated(case.size) else {})}


def _published_classes(case: Case, bench: Bench) -> NDArray[np.int64]:
    """Return the class of each pixel of a street, as the CPU merges what the published network says in float32."""
    with torch.inference_mode():
        logits, masks = (each[0].cpu().numpy() for each in expected(case, bench.device))
    geometry = Geometry(case.size, case.size, case.size)
    return _classes(*postprocess.merge(logits, masks, geometry, things(LABELS), Thresholds()))


def _agreement(backend: Backend, classes: NDArray[np.int64], case: Case, bench: Bench) -> Row:
    """Return the share of a street's pixels that are of another class than ``classes`` says."""
    pipeline = backend.pipeline()
    street = pipeline.prepare(images(case, bench.device)[0].cpu().numpy())
    (merged,) = pipeline.merge(pipeline.infer([street], Thresholds()))
    share = float(np.mean(_classes(merged.panoptic, merged.segments) != classes))
    row: Row = {"pixels unlike published": share}
    return row if share <= UNLIKE else {**row, "failed": f"{share:.2%} of another class, expected {UNLIKE:.0%} or less"}


def _classes(panoptic: NDArray[np.int32], segments: Sequence[Segment]) -> NDArray[np.int64]:
    """Return the class of each pixel, -1 where there is none."""
    by_id = np.full(int(panoptic.max()) + 1, -1)
    for segment in segments:
        by_id[segment.id] = segment.category_id
    return by_id[panoptic]


class Frames(Footage):
    """Frames in host memory, which notes when each was handed out."""

    name = stem = "frames"

    def __init__(self, size: tuple[int, int], count: int) -> None:
        self._frames, self.length = [random_frame(size, seed) for seed in range(DIFFERENT)], count
        self.started: list[float] = []

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.length or 0):
            self.started.append(time.perf_counter())
            yield Frame(str(index), lambda frame=self._frames[index % DIFFERENT]: frame)  # type: ignore[misc]


def _latency(segmenter: Segmenter, frame: Frame) -> float:
    start = time.perf_counter()
    segmenter(frame.read())
    return 1000 * (time.perf_counter() - start)


def _stream(segmenter: Segmenter, frames: Frames) -> tuple[list[float], float]:
    """Return the milliseconds from a frame's handing out to its result, and frames per second."""
    with segmenter.stream(frames) as stream:
        ended = [time.perf_counter() for _ in stream]
    latencies = [1000 * (end - start) for start, end in zip(frames.started, ended, strict=True)]
    return latencies, (len(ended) - 1) / (ended[-1] - ended[0])


def _percentiles(name: str, milliseconds: list[float]) -> Row:
    values = np.percentile(milliseconds, [50, 90, 99]).tolist()
    return {f"ms {name}, p{rank}": value for rank, value in zip((50, 90, 99), values, strict=True)}


def _pixels_off(backend: Backend, frame: NDArray[np.uint8]) -> int:
    maps = []
    for pipeline in (backend.pipeline(), HostPipeline.of(backend)):
        (merged,) = pipeline.merge(pipeline.infer([pipeline.prepare(frame)], EVERYBODY))
        maps.append(merged.panoptic)
    return int(np.count_nonzero(maps[0] != maps[1]))
