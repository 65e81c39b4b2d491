"""Whole networks in PyTorch with the plugin's kernels, beside the published formulation; no TensorRT.

What torch.compile makes of them is in `compiled`, because it takes long.
"""

from __future__ import annotations

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
SAME = {"fp16": 0.98, "tf32": 0.98, "fp32": 0.999}
"""The least part of the classes and of the masks' signs that must be the published formulation's."""
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
    yield from (Case("mask2former-r50", DRY, "fp16", form) for form in FORMS)


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
    same = min(row["same classes"], row["same mask signs"])
    wrong = {"failed": f"{same:.4f} as published, expected {SAME[case.precision]}"}
    row |= {"ms": median, "p90 ms": times[int(0.9 * len(times))], "FPS": 1000 / median}
    return {**row, **(wrong if same < SAME[case.precision] else {})}


def _allow_tf32(allowed: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


def _agreement(found: list[Tensor], truth: list[Tensor]) -> Row:
    return {
        "largest difference of logits": float((found[0] - truth[0]).abs().max()),
        "same classes": float((found[0].argmax(-1) == truth[0].argmax(-1)).float().mean()),
        "same mask signs": float(((found[1] >= 0) == (truth[1] >= 0)).float().mean()),
    }


def _forget(device: str) -> None:
    """Free what the networks before held."""
    torch.compiler.reset()
    if device == "cuda":
        torch.cuda.empty_cache()
