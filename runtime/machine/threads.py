"""Chooses how many threads a model runs on: one for each core that is worth it, as far as the control group allows."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pem_edge.runtime.machine import cores
from pem_edge.runtime.machine.quotas import cpu_quota

_ROOT = Path("/")
_WORTH_A_THREAD = 0.25
"""Part of a CPU for which one thread more is faster: measured, with 1.2 CPUs two threads are as fast as one."""


@dataclass(frozen=True)
class Choice:
    """A number of threads, and why it was chosen.

    Attributes:
        count: The number of threads, at least 1.
        cores: The number of cores that may be used.
        reason: The limit that it comes from, such as "one for each of 4 cores".
    """

    count: int
    cores: int
    reason: str


def choose(cpus: Collection[int] | None = None, root: Path = _ROOT) -> Choice:
    """Choose how many threads a model runs on.

    Hyperthreads share the units that multiply, so a core counts once. Slow cores count if all together are worth more
    than the fast ones alone, see `worthwhile`. A quota gives one more thread for a quarter of a CPU and more.

    Args:
        cpus: The numbers of the CPUs that may be used, of which there is at least one, whether listed or not; None for
            those that this process may run on.
        root: The folder that holds ``proc`` and ``sys``.
    """
    usable = allowed() if cpus is None else cpus
    speeds = cores.speeds(usable, root) or [1.0]
    count = worthwhile(speeds)
    quota = cpu_quota(root)
    if quota is not None and (paid := max(1, math.floor(quota + 1 - _WORTH_A_THREAD))) < count:
        return Choice(paid, len(speeds), f"a quota of {quota:g} CPUs")
    if count < len(speeds):
        return Choice(count, len(speeds), f"one for each of the {count} fastest of {len(speeds)} cores")
    hyperthreads = f" ({len(usable)} hyperthreads)" if len(speeds) < len(usable) else ""
    each = f"one for each of {count} cores" if count > 1 else "one, for the only core"
    return Choice(count, len(speeds), f"{each}{hyperthreads}")


def worthwhile(speeds: Sequence[float]) -> int:
    """Return how many cores, the fastest first, finish an operation first.

    An operation is cut into equal parts, one for each core, and takes as long as the slowest of them. So ``n`` cores
    together are as fast as ``n`` times the slowest.

    Args:
        speeds: The speed of each core, at least one, from the fastest to the slowest.
    """
    return max(range(1, len(speeds) + 1), key=lambda count: (count * speeds[count - 1], count))


def allowed() -> set[int]:
    """Return the CPUs that this process may run on, which ``taskset`` or a container may limit."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def usable_cpus(root: Path = _ROOT) -> int:
    """Return the number of CPUs that this process may use. A quota of 1.5 CPUs counts as 2."""
    count, quota = len(allowed()), cpu_quota(root)
    return count if quota is None else max(1, min(count, math.ceil(quota)))
