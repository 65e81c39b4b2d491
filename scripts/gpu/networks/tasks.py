"""Whole networks in PyTorch with the plugin's kernels, beside the published formulation; no TensorRT."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Literal

import torch
from torch import Tensor

from scripts.gpu.bench import Bench
from scripts.gpu.networks.forms import Case, Size, build, expected, images
from scripts.gpu.tasks import Row, Task

LARGE, SMALL = (1024, 2048), (512, 1024)
VARIANTS = ("pem-r50", "pem-stdc1", "pem-stdc2", "mask2former-r50")
DRY = (64, 96)
SAME = {"fp16": 0.98, "tf32": 0.98, "fp32": 0.999}
"""The least part of the classes and of the masks' signs that must be the published formulation's."""
SECONDS, COMPILING = 6.0, 60.0
TABLE = "in CUDA graphs"


def tasks(bench: Bench) -> Iterator[Task]:
    """Yield a task for each network, the most important first; what compiles takes long, and comes last."""
    for case in _dry_cases() if bench.device.dry else _cases():
        key: Row = {**case._asdict(), "size": "x".join(map(str, case.size))}
        yield Task(TABLE, key, COMPILING if case.compiled else SECONDS, partial(_measure, case, bench))


def _cases() -> Iterator[Case]:
    yield from _both(VARIANTS, LARGE, "fp16")
    yield from _both(VARIANTS, LARGE, "tf32")
    yield from _both(VARIANTS, LARGE, "fp32")
    for precision in ("fp16", "tf32", "fp32"):
        yield from _both(VARIANTS, SMALL, precision)
    for form in ("published", "ours"):
        yield from (Case(variant, LARGE, "fp16", form, compiled=True) for variant in VARIANTS)


def _dry_cases() -> Iterator[Case]:
    for precision in ("fp16", "tf32", "fp32"):
        yield from _both(["pem-nano"], DRY, precision)
    yield from _both(["mask2former-r50"], DRY, "fp16")
    yield from (Case("pem-nano", DRY, "fp16", form, compiled=True) for form in ("published", "ours"))


def _both(variants: tuple[str, ...] | list[str], size: Size, precision: Literal["fp16", "fp32", "tf32"]) -> list[Case]:
    return [Case(variant, size, precision, form) for variant, form in product(variants, ("ours", "published"))]


def _measure(case: Case, bench: Bench) -> Row:
    device, batch = bench.device, images(case.size, bench.device)
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
    _forget(device.name)
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
    """Free what the network held, so that the next one has the memory."""
    torch.compiler.reset()
    if device == "cuda":
        torch.cuda.empty_cache()
