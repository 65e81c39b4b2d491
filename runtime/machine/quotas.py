"""The CPU time and the memory that Linux's control groups allow this process.

A process is in a group and in all those around it, the least of whose limits holds. A container sees its own group as
the outermost one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pem_edge.runtime.machine import readers

_ROOT = Path("/")

_HYBRID = "unified"
"""Folder of the groups of version 2 where version 1 is used beside it, as systemd mounts them."""

_READ = 1 << 13
"""Characters read of the list of groups, as each costs a look at files. Linux has a dozen hierarchies."""


def cpu_quota(root: Path = _ROOT) -> float | None:
    """Return how many CPUs' time the control groups of this process allow; None if they set no limit.

    Read are cpu.max of version 2 and cpu.cfs_quota_us of version 1.

    Args:
        root: The folder that holds ``proc`` and ``sys``.
    """
    quotas = [found for group in _groups(root, "cpu") if (found := _quota(group)) is not None]
    return min(quotas, default=None)


def memory_limit(root: Path = _ROOT) -> int | None:
    """Return the bytes of memory that the control groups of this process allow; None if they set no limit.

    Read are memory.max of version 2 and memory.limit_in_bytes of version 1.

    Args:
        root: The folder that holds ``proc`` and ``sys``.
    """
    files = (group / name for group in _groups(root, "memory") for name in ("memory.max", "memory.limit_in_bytes"))
    return min((found for file in files if (found := readers.number(file) or 0) > 0), default=None)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the groups that this process is in, by /proc/self/cgroup (cgroups(7)).

    Args:
        root: The folder that holds ``proc`` and ``sys``.
        controller: The controller whose groups count where each has groups of its own, as in version 1.
    """
    outermost = root / "sys/fs/cgroup"
    yield from (outermost, outermost / controller)
    for line in (readers.text(root / "proc/self/cgroup") or "")[:_READ].splitlines():
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if controllers == "" or controller in controllers.split(","):
            for outer in (outermost / each for each in ((controller, controllers) if controllers else ("", _HYBRID))):
                own = outer / name.lstrip("/")
                yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(outer))


def _quota(group: Path) -> float | None:
    quota, _, period = (readers.text(group / "cpu.max") or "").partition(" ")
    if not quota:
        quota = readers.text(group / "cpu.cfs_quota_us") or ""
        period = readers.text(group / "cpu.cfs_period_us") or ""
    allowed, each = readers.whole(quota) or 0, readers.whole(period) or 0
    return allowed / each if allowed > 0 and each > 0 else None
