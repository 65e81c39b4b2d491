"""The same networks by torch.compile, each of which takes most of a minute."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from scripts.gpu.bench import Bench
from scripts.gpu.networks.forms import FORMS, Case
from scripts.gpu.networks.tasks import DRY, LARGE, VARIANTS, task
from scripts.gpu.tasks import Task

SECONDS = 60.0


def tasks(bench: Bench) -> Iterator[Task]:
    """Yield a task for each network, in half, the most important first."""
    size, variants = (DRY, ("pem-nano",)) if bench.device.dry else (LARGE, VARIANTS)
    for variant, form in product(variants, reversed(FORMS)):
        yield task(Case(variant, size, "fp16", form, compiled=True), SECONDS, bench)
