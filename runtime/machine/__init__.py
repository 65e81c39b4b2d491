"""Facts about the machine that this process runs on."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def usable_cpus(cgroups: Path = _CGROUPS) -> int:
    """Return the number of CPUs that this process may use, which ``taskset`` or a container may limit.

    A quota of 1.5 CPUs counts as 2.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(cgroups)
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def cpu_quota(cgroups: Path = _CGROUPS) -> float | None:
    """Return how many CPUs' time the control group allows; None if it sets no limit.

    Read are cpu.max of cgroup v2 or cpu.cfs_quota_us of v1, as a container sees its own.
    """
    quota, _, period = _read(cgroups / "cpu.max").partition(" ")
    if not quota:
        quota, period = _read(cgroups / "cpu/cpu.cfs_quota_us"), _read(cgroups / "cpu/cpu.cfs_period_us")
    if not (quota.isdecimal() and period.isdecimal() and int(period) > 0):
        return None
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
