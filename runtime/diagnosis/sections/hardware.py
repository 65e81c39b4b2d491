"""The CPU and the memory, and what of them a container leaves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pem_edge.runtime.diagnosis.probing import Probe
from pem_edge.runtime.diagnosis.schema import Finding, Findings
from pem_edge.runtime.machine import cpu, quotas, threads, usable_cpus

_ROOT = Path("/")
_LITTLE_MEMORY = 1 << 30
_FEATURES = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI",
    "amx_int8": "AMX",
    "amx_bf16": "AMX BF16",
    "avx512_bf16": "AVX-512 BF16",
    "asimd": "NEON",
    "asimddp": "dot product",
    "i8mm": "I8MM",
    "asimdhp": "half precision",
    "sve": "SVE",
}
"""The features that make models fast, as Linux calls them in /proc/cpuinfo."""

_FAST_INT8 = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}
_INT8_IS_FAST = "the processor is fast at INT8, how much a model gains depends on the backend"


def _cpu(root: Path = _ROOT) -> Findings:
    cores = os.cpu_count() or 1
    usable, quota = usable_cpus(root), cpu.quota(root)
    limits = [f"CPUs {cpu.affinity()}"] + ([f"a quota of {quota}"] if quota != "none" else [])
    value = f"{usable} of {cores} usable" + (f" ({', '.join(limits)})" if usable < cores or quota != "none" else "")
    chosen = threads.choose(root=root)
    return {
        "cpu": Finding(name="CPU", value=cpu.name(root), status="ok"),
        "cores": Finding(name="cores", value=value, status="ok"),
        "threads": Finding(name="threads of a model", value=f"{chosen.count}: {chosen.reason}", status="ok"),
    }


def _features(root: Path = _ROOT) -> Findings:
    flags = cpu.features(root)
    if not flags:
        return {"features": Finding(name="CPU features", value="unknown: /proc/cpuinfo lists none")}
    names = ", ".join(name for flag, name in _FEATURES.items() if flag in flags) or "none that make models fast"
    int8 = _INT8_IS_FAST if flags & _FAST_INT8 else "INT8 gains little: no VNNI or dot product"
    bf16 = "; --bf16 makes OpenVINO faster" if flags & cpu.BF16 else ""
    return {"features": Finding(name="CPU features", value=f"{names}; {int8}{bf16}")}


def _memory(root: Path = _ROOT) -> Findings:
    total = cpu.memory_bytes(root)
    free = cpu.meminfo("MemAvailable", root)
    if total is None or free is None:
        return {"memory": Finding(name="memory", value="unknown: /proc/meminfo cannot be read")}
    limited = total == quotas.memory_limit(root)
    value = f"{_gib(free)} free" + (f"; the control group allows {_gib(total)}" if limited else f" of {_gib(total)}")
    if min(free, total) < _LITTLE_MEMORY:
        cure = "close other programs, or export a smaller size"
        return {"memory": Finding(name="memory", value=value, status="warning", cure=cure)}
    return {"memory": Finding(name="memory", value=value, status="ok")}


def _load() -> Findings:
    value = f"{cpu.load()} (processes that ran or waited in the last 1, 5 and 15 minutes)"
    return {"load": Finding(name="load", value=value)}


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"


PROBES: Mapping[str, Probe] = {"cpu": _cpu, "features": _features, "memory": _memory, "load": _load}
