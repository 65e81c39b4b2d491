"""Cores, as Linux shows them: which CPUs are one core, and how fast each core is beside the others."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from pem_edge.runtime.machine import readers

_ROOT = Path("/")
_CPUS = "sys/devices/system/cpu"
_EFFICIENT = 3 / 8
"""Speed of an Intel E-core beside a P-core: vectors of half the width, at about three quarters of the clock."""


def speeds(cpus: Collection[int], root: Path = _ROOT) -> list[float]:
    """Return the speed of each core that ``cpus`` are on, beside those of the others, the fastest first.

    Hyperthreads are CPUs that share a core. Speeds are those of cpu_capacity, which ARM's kernels take from the device
    tree; of Intel's hybrid processors, whose CPUs are listed by kind, E-cores are 3/8 as fast as P-cores. Where
    nothing is known, cores are equally fast.

    Args:
        cpus: The numbers of the CPUs.
        root: The folder that holds ``sys``.
    """
    efficient = parse_ranges(readers.text(root / "sys/devices/cpu_atom/cpus") or "")
    cores = {_core(cpu, root): _speed(cpu, efficient, root) for cpu in cpus}
    return sorted(cores.values(), reverse=True)


def parse_ranges(text: str) -> set[int]:
    """Return the numbers in a list of Linux: "0-2,5" is {0, 1, 2, 5}. Nothing else is read of it."""
    spans = re.findall(r"(\d+)(?:-(\d+))?", text)
    return {number for first, last in spans for number in range(int(first), int(last or first) + 1)}


def _core(cpu: int, root: Path) -> str:
    """Return what all CPUs of a core have in common (Linux: Documentation/admin-guide/cputopology.rst)."""
    return readers.text(root / _CPUS / f"cpu{cpu}/topology/thread_siblings_list") or str(cpu)


def _speed(cpu: int, efficient: Collection[int], root: Path) -> float:
    if efficient:
        return _EFFICIENT if cpu in efficient else 1
    return readers.number(root / _CPUS / f"cpu{cpu}/cpu_capacity") or 1
