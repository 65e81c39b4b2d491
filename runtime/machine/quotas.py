"""The CPU time that Linux's control groups allow this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pem_edge.runtime.machine import readers

_ROOT = Path("/")


def cpu_quota(root: Path = _ROOT) -> float | None:
    """Return how many CPUs' time the control groups of this process allow; None if they set no limit.

    A process is in a group and in all those around it, the least of whose limits holds. A container sees its own group
    as the outermost one. Read are cpu.max of version 2 and cpu.cfs_quota_us of version 1.

    Args:
        root: The folder that holds ``proc`` and ``sys``.
    """
    quotas = [found for group in _groups(root) if (found := _quota(group)) is not None]
    return min(quotas, default=None)


def _groups(root: Path) -> Iterator[Path]:
    """Yield the folders of the groups that this process is in, by /proc/self/cgroup (cgroups(7))."""
    outermost = root / "sys/fs/cgroup"
    yield from (outermost, outermost / "cpu")
    for line in (readers.text(root / "proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if controllers == "" or "cpu" in controllers.split(","):
            outer = outermost / "cpu" if controllers else outermost
            own = outer / name.lstrip("/")
            yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(outer))


def _quota(group: Path) -> float | None:
    quota, _, period = (readers.text(group / "cpu.max") or "").partition(" ")
    if not quota:
        quota = readers.text(group / "cpu.cfs_quota_us") or ""
        period = readers.text(group / "cpu.cfs_period_us") or ""
    if not (quota.isdecimal() and period.isdecimal() and int(period) > 0):
        return None
    return int(quota) / int(period)
