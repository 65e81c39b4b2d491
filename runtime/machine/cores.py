"""Cores, as Linux shows them: which CPUs are one core, and how fast each core is beside the others."""

from __future__ import annotations

from collections.abc import Collection, Iterable
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
    known = _speeds_of_cpus(cpus, root)
    cores = {_core(cpu, root): known[cpu] for cpu in cpus}
    return sorted(cores.values(), reverse=True)


def parse_ranges(text: str) -> list[range]:
    """Return the ranges in a list of Linux: "0-2,5" is 0 to 2 and 5. What is not such a list has none."""
    spans = []
    for part in text.split(","):
        ends = [readers.whole(end) for end in part.split("-", 1)]
        first, last = ends[0], ends[-1]
        if first is None or last is None:
            return []
        spans.append(range(first, last + 1))
    return spans


def _core(cpu: int, root: Path) -> str:
    """Return what all CPUs of a core have in common (Linux: Documentation/admin-guide/cputopology.rst)."""
    siblings = readers.text(root / _CPUS / f"cpu{cpu}/topology/thread_siblings_list") or ""
    return siblings if _is_in(cpu, parse_ranges(siblings)) else str(cpu)


def _speeds_of_cpus(cpus: Collection[int], root: Path) -> dict[int, float]:
    efficient = parse_ranges(readers.text(root / "sys/devices/cpu_atom/cpus") or "")
    if efficient:
        return {cpu: _EFFICIENT if _is_in(cpu, efficient) else 1 for cpu in cpus}
    capacities = {cpu: float(readers.number(root / _CPUS / f"cpu{cpu}/cpu_capacity") or 0) for cpu in cpus}
    return capacities if all(capacity > 0 for capacity in capacities.values()) else dict.fromkeys(cpus, 1.0)


def _is_in(cpu: int, spans: Iterable[range]) -> bool:
    return any(cpu in span for span in spans)
