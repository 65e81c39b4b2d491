"""Facts about the machine that this process runs on."""

from __future__ import annotations

import os


def usable_cpus() -> int:
    """Return how many CPUs this process may run on, which a container or ``taskset`` may limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
