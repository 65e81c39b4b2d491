"""The CPU and the memory, as Linux shows them in /proc and /sys, and what Python knows elsewhere."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from pem_edge.runtime.machine import readers
from pem_edge.runtime.machine.quotas import cpu_quota, memory_limit

_ROOT = Path("/")
_MEGAHERTZ = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")

BF16 = frozenset({"amx_bf16", "avx512_bf16"})
"""The CPU features that OpenVINO computes in bfloat16 with, as Linux calls them.

Other CPUs with AVX-512 emulate it, which is slow; on Arm and elsewhere OpenVINO computes in single precision.
"""


def name(root: Path = _ROOT) -> str:
    """Return the CPU's name: x86 has it in /proc/cpuinfo, ARM only in lscpu's table of parts, macOS in sysctl."""
    for listing in (readers.text(root / "proc/cpuinfo"), readers.output(["lscpu"])):
        if found := re.search(r"^model name\s*:\s*(\S.*)$", listing or "", re.MULTILINE | re.IGNORECASE):
            return found[1].strip()
    return readers.output(["sysctl", "-n", "machdep.cpu.brand_string"]) or platform.processor() or readers.UNKNOWN


def features(root: Path = _ROOT) -> frozenset[str]:
    """Return the CPU's instruction sets, as Linux calls them in /proc/cpuinfo; nothing if it lists none."""
    lines = re.findall(r"^(?:flags|Features)\s*:\s*(.*)$", readers.text(root / "proc/cpuinfo") or "", re.MULTILINE)
    return frozenset(lines[0].split()) if lines else frozenset()


def memory_bytes(root: Path = _ROOT) -> int | None:
    """Return the machine's memory (proc(5)), or what its control groups allow if less."""
    sizes = (meminfo("MemTotal", root), memory_limit(root))
    return min(filter(None, sizes), default=None)


def meminfo(field: str, root: Path = _ROOT) -> int | None:
    """Return the bytes of a field of /proc/meminfo, such as "MemAvailable"; None if it has no such field."""
    listed = re.search(rf"^{field}:\s+(\S+) kB$", readers.text(root / "proc/meminfo") or "", re.MULTILINE)
    kilobytes = readers.whole(listed[1]) if listed else None
    return None if kilobytes is None or kilobytes < 0 else kilobytes << 10


def affinity() -> str:
    """Return the CPUs that this process may run on, such as "0-3,8"."""
    if not hasattr(os, "sched_getaffinity"):
        return readers.UNKNOWN
    return ranges(sorted(os.sched_getaffinity(0)))


def ranges(numbers: list[int]) -> str:
    """Return ascending numbers as Linux lists CPUs: [0, 1, 2, 5] is "0-2,5"."""
    spans: list[list[int]] = []
    for value in numbers:
        if spans and value == spans[-1][-1] + 1:
            spans[-1][1:] = [value]
        else:
            spans.append([value])
    return ",".join("-".join(map(str, span)) for span in spans)


def quota(root: Path = _ROOT) -> str:
    """Return how many CPUs' time the control group allows, "none" if it sets no limit."""
    allowed = cpu_quota(root)
    return "none" if allowed is None else f"{allowed:g} CPUs"


def governor(root: Path = _ROOT) -> str:
    """Return what chooses the clock, all kinds that are in use (Linux's cpufreq)."""
    found = {readers.text(path) for path in _cpufreq(root, "scaling_governor")} - {None}
    return ", ".join(sorted(filter(None, found))) or readers.UNKNOWN


def clocks(root: Path = _ROOT) -> str:
    """Return the clocks of the CPUs in MHz, from slowest to fastest: cpufreq's, else those of /proc/cpuinfo."""
    kilohertz = [readers.number(path) or 0 for path in _cpufreq(root, "scaling_cur_freq")]
    megahertz = [value / 1000 for value in kilohertz if value > 0]
    if not megahertz:
        listed = re.findall(r"^cpu MHz\s*:\s*(\S+)$", readers.text(root / "proc/cpuinfo") or "", re.MULTILINE)
        megahertz = [float(value) for value in listed if _MEGAHERTZ.fullmatch(value)]
    if not megahertz:
        return readers.UNKNOWN
    return f"{min(megahertz):.0f} to {max(megahertz):.0f} MHz"


def temperatures(root: Path = _ROOT) -> str:
    """Return the temperature of each thermal zone that reports one (Linux's thermal sysfs, 1/1000 degree Celsius)."""
    found = []
    for zone in readers.files(root / "sys/class/thermal", "thermal_zone*"):
        value = readers.number(zone / "temp")
        if value is not None and value > 0:  # sensors that are off say -256 degrees, or nothing
            found.append(f"{readers.text(zone / 'type') or zone.name} {value / 1000:.0f} °C")
    return ", ".join(found) or readers.UNKNOWN


def load() -> str:
    """Return processes that ran or waited in the last 1, 5 and 15 minutes, on average."""
    try:
        return ", ".join(f"{value:.2f}" for value in os.getloadavg())
    except (OSError, AttributeError):
        return readers.UNKNOWN


def _cpufreq(root: Path, what: str) -> list[Path]:
    return readers.files(root / "sys/devices/system/cpu", f"cpu[0-9]*/cpufreq/{what}")
