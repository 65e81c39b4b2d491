"""The kernels before and after the model against the CPU, and all stages from a frame to its panoptic map."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from scripts.gpu.bench import Bench
from scripts.gpu.networks.forms import Case, trained
from scripts.gpu.pipeline import kernels
from scripts.gpu.pipeline.end_to_end import run
from scripts.gpu.tasks import Task

Size = tuple[int, int]
FITS: tuple[tuple[Size, Size], ...] = (
    ((1080, 1920), (512, 1024)),
    ((1024, 2048), (512, 1024)),
    ((2160, 3840), (1024, 2048)),
    ((720, 1280), (1024, 2048)),
    ((1000, 2000), (1024, 2048)),
)
MERGES: tuple[tuple[Size, Size], ...] = (
    ((1024, 2048), (1024, 2048)),
    ((512, 1024), (512, 1024)),
    ((512, 1024), (1080, 1920)),
)
"""Sizes of the model's input and of the map."""
NETWORKS = (
    trained("fp16"),
    Case("pem-r50", (1024, 2048), "fp16", "ours"),
    Case("pem-stdc1", (1024, 2048), "fp16", "ours"),
    Case("pem-stdc2", (1024, 2048), "fp16", "ours"),
    Case("pem-r50", (512, 1024), "fp16", "ours"),
)
FRAMES = 300
DRY_FITS: tuple[tuple[Size, Size], ...] = (((50, 90), (64, 96)), ((130, 200), (64, 96)))
DRY_MERGES: tuple[tuple[Size, Size], ...] = (((64, 96), (64, 96)), ((64, 96), (50, 75)))
DRY_NETWORKS = (trained("fp16", (128, 256)),)
DRY_FRAMES = 8


def tasks(bench: Bench) -> Iterator[Task]:
    """Yield a task for each network from end to end, for each fit and for each merge."""
    dry = bench.device.dry
    frames = DRY_FRAMES if dry else FRAMES
    for case in DRY_NETWORKS if dry else NETWORKS:
        key = {**case._asdict(), "size": _text(case.size)}
        yield Task("end to end", key, 15, partial(run, case, frames, bench))
    with kernels.modules(bench.device) as loaded:
        for box, output in DRY_MERGES if dry else MERGES:
            for dtype in (np.float16, np.float32):
                key = {"input": _text(box), "map": _text(output), "type": np.dtype(dtype).name}
                yield Task("merge", key, 5, partial(kernels.merge, loaded, bench.device, box, output, dtype))
        for size, box in DRY_FITS if dry else FITS:
            key = {"image": _text(size), "input": _text(box)}
            yield Task("fit", key, 2, partial(kernels.fit, loaded, bench.device, size, box))


def _text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
