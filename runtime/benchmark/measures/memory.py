"""Measures the peak memory of a process that only loads and runs an artifact; it is run as a module."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pem_edge.runtime.benchmark.measures import fresh_process
from pem_edge.runtime.benchmark.schema import Memory
from pem_edge.runtime.machine import gpu

RUNS = 10
"""Runs after which memory is looked at: pools have grown by then."""


def measure(task: fresh_process.Task) -> Memory:
    """Return the memory after ``task.runs`` pictures: the process's peak and, for a model on a GPU, its rise there.

    Raises BackendError if the process fails.
    """
    return fresh_process.run(__name__, task, Memory)


def peak_resident() -> int | None:
    """Return the most memory, in bytes, that this process has had resident.

    On Linux the kernel's high-water mark of the address space (proc(5)): what ``getrusage`` gives there is never less
    than the parent had when it started the process. None where it is unknown.
    """
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)
        return int(found[1]) << 10 if found else None
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def main() -> None:
    """Load, segment some times, and say how much memory it took."""
    task = fresh_process.task()
    from pem_edge.runtime.loading import load

    before = gpu.memory_used()
    with load(task.model, task.backend, threads=task.threads, bf16=task.bf16) as segmenter:
        for _ in range(task.runs):
            segmenter(Path(task.picture))
        host = peak_resident()
        after = gpu.memory_used() if segmenter.backend.device == "gpu" else None
    rise = None if before is None or after is None else max(0, after - before)
    fresh_process.answer(Memory(host=host, device=rise))


if __name__ == "__main__":
    main()
