"""Whole networks in PyTorch with the plugin's kernels, beside the published formulation; no TensorRT.

What torch.compile makes of them is in `compiled`, because it takes long.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from scripts.gpu.bench import Bench
from scripts.gpu.networks.forms import FORMS, PRECISIONS, Case, Precision, Weights, build, expected, images, trained
from scripts.gpu.tasks import Row, Task

LARGE, SMALL = (1024, 2048), (512, 1024)
VARIANTS = ("pem-r50", "pem-stdc1", "pem-stdc2", "mask2former-r50")
DRY = (64, 96)


class Limits(NamedTuple):
    """The largest errors, as `_error` says."""

    logits: float
    masks: float


LIMITS: dict[Weights, dict[Precision, Limits]] = {
    "demo": {"fp16": Limits(2e-3, 2e-3), "tf32": Limits(2e-3, 2e-3), "fp32": Limits(1e-4, 1e-4)},
    "random": {"fp16": Limits(3e-3, 1.1e-3), "tf32": Limits(3e-3, 1.1e-3), "fp32": Limits(1e-4, 1e-4)},
}
"""Trained weights judge each layer: measured on a CPU, correct half is off by 0.0003 and 0.0008; it is off by 0.02 or
more with a layer's weight zeroed or its offsets ignored, and by 0.004 or more with one tap unmodulated. Random weights
judge the plumbing, not each layer, since a fault may stay below their limits: about twice what correct half is off at
most, 0.0015 and 0.0005 in pem-r50. TF32 has as many bits as half."""
SECONDS = 6.0
TABLE = "in CUDA graphs"


def tasks(bench: Bench) -> Iterator[Task]:
    """Yield a task for each network, the most important first."""
    for case in _dry_cases() if bench.device.dry else _cases():
        yield task(case, SECONDS, bench)


def task(case: Case, seconds: float, bench: Bench) -> Task:
    """Return the task of a network."""
    key: Row = {**case._asdict(), "size": "x".join(map(str, case.size))}
    return Task(TABLE, key, seconds, partial(_measure, case, bench))


def _cases() -> Iterator[Case]:
    yield from map(trained, PRECISIONS)
    for size, precision, variant in product((LARGE, SMALL), PRECISIONS, VARIANTS):
        yield from (Case(variant, size, precision, form) for form in FORMS)


def _dry_cases() -> Iterator[Case]:
    yield from map(trained, PRECISIONS)
    for variant, form in product(("pem-nano", "pem-stdc1", "mask2former-r50"), FORMS):
        yield Case(variant, DRY, "fp16", form)


def _measure(case: Case, bench: Bench) -> Row:
    device, batch = bench.device, images(case, bench.device)
    _forget(device.name)
    with torch.inference_mode():
        truth = expected(case, device)
        torch.backends.cudnn.benchmark = True
        network = build(case, bench)
        start = time.perf_counter()
        found = [each.float() for each in network(batch)]
        row: Row = {"first call s": time.perf_counter() - start, **_agreement(found, truth)}
        replay = device.graph(lambda: network(batch))
        times = sorted(device.times(replay, device.repetitions))
    median = times[len(times) // 2]
    row |= {"ms": median, "p90 ms": times[int(0.9 * len(times))], "FPS": 1000 / median}
    return {**row, **_judgment(row, LIMITS[case.weights][case.precision])}


def _judgment(row: Row, limits: Limits) -> Row:
    """Return what is wrong, if anything is."""
    wrong = [
        f"error of {name} {row[f'error of {name}']:.2g}, expected {limit} or less"
        for name, limit in limits._asdict().items()
        if row[f"error of {name}"] > limit
    ]
    return {"failed": "; ".join(wrong)} if wrong else {}


def _agreement(found: list[Tensor], truth: list[Tensor]) -> Row:
    return {
        "error of logits": _error(found[0], truth[0]),
        "error of masks": _error(found[1], truth[1]),
        "same classes": float((found[0].argmax(-1) == truth[0].argmax(-1)).float().mean()),
        "same mask signs": float(((found[1] >= 0) == (truth[1] >= 0)).float().mean()),
    }


def _error(found: Tensor, truth: Tensor) -> float:
    """Return the median of the queries' errors; infinite if a value is not finite.

    A query's error is the root mean square of its differences, in parts of that of all values. Where two pixels are as
    good as equal, a query may pick either, and its error is then large without a fault; a wrong layer is in most.
    """
    errors = (found - truth).flatten(2).norm(dim=-1) * math.sqrt(truth.shape[1]) / truth.norm()
    return float(errors.median()) if bool(errors.isfinite().all()) else math.inf


def _forget(device: str) -> None:
    """Free what the networks before held."""
    torch.compiler.reset()
    if device == "cuda":
        torch.cuda.empty_cache()
