"""Whole networks in PyTorch with the plugin's kernels, beside the published formulation; no TensorRT.

What torch.compile makes of them is in `compiled`, because it takes long.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from functools import partial
from itertools import product

import torch
from torch import Tensor

from scripts.gpu.bench import Bench
from scripts.gpu.networks.forms import FORMS, PRECISIONS, Case, build, expected, images
from scripts.gpu.tasks import Row, Task

LARGE, SMALL = (1024, 2048), (512, 1024)
VARIANTS = ("pem-r50", "pem-stdc1", "pem-stdc2", "mask2former-r50")
DRY = (64, 96)
LIMITS = {"fp16": 1e-2, "tf32": 1e-2, "fp32": 1e-3}
"""The largest error, as `_error` says. Weights are random: classes and signs stay the same even if a layer is wrong."""
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
    for size, precision, variant in product((LARGE, SMALL), PRECISIONS, VARIANTS):
        yield from (Case(variant, size, precision, form) for form in FORMS)


def _dry_cases() -> Iterator[Case]:
    for precision, form in product(PRECISIONS, FORMS):
        yield Case("pem-nano", DRY, precision, form)
    for variant, form in product(("pem-stdc1", "mask2former-r50"), FORMS):
        yield Case(variant, DRY, "fp16", form)


def _measure(case: Case, bench: Bench) -> Row:
    device, batch = bench.device, images(case.size, bench.device)
    _forget(device.name)
    with torch.inference_mode():
        _allow_tf32(False)
        truth = expected(case.variant, case.size, device)
        _allow_tf32(case.precision == "tf32")
        torch.backends.cudnn.benchmark = True
        network = build(case, bench)
        start = time.perf_counter()
        found = [each.float() for each in network(batch)]
        row: Row = {"first call s": time.perf_counter() - start, **_agreement(found, truth)}
        replay = device.graph(lambda: network(batch))
        times = sorted(device.times(replay, device.repetitions))
    median = times[len(times) // 2]
    row |= {"ms": median, "p90 ms": times[int(0.9 * len(times))], "FPS": 1000 / median}
    error, limit = max(row["error of logits"], row["error of masks"]), LIMITS[case.precision]
    return row if error <= limit else {**row, "failed": f"error {error:.2g}, expected {limit} or less"}


def _allow_tf32(allowed: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


def _agreement(found: list[Tensor], truth: list[Tensor]) -> Row:
    return {
        "error of logits": _error(found[0], truth[0]),
        "error of masks": _error(found[1], truth[1]),
        "same classes": float((found[0].argmax(-1) == truth[0].argmax(-1)).float().mean()),
        "same mask signs": float(((found[1] >= 0) == (truth[1] >= 0)).float().mean()),
    }


def _error(found: Tensor, truth: Tensor) -> float:
    """Return the root mean square of the differences, in parts of that of the values; infinite if one is NaN."""
    error = float((found - truth).norm() / truth.norm())
    return error if math.isfinite(error) else math.inf


def _forget(device: str) -> None:
    """Free what the networks before held."""
    torch.compiler.reset()
    if device == "cuda":
        torch.cuda.empty_cache()
