"""Measures the time from the start of a process to its first result.

The process runs this module.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from pem_edge.runtime.benchmark.measures import fresh_process


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """Times of a fresh process, in milliseconds: start and import, load, first image, and total."""

    imports: float
    load: float
    first: float
    total: float


def measure(task: fresh_process.Task) -> Start:
    """Start once. Raises BackendError if it fails."""
    return fresh_process.run(__name__, task, Start)


def main() -> None:
    """Load, segment, and say how long it took."""
    task = fresh_process.task()
    from pem_edge.runtime.loading import load

    imported = time.monotonic()
    with load(task.model, task.backend, threads=task.threads, bf16=task.bf16) as segmenter:
        loaded = time.monotonic()
        segmenter(Path(task.picture))
        done = time.monotonic()
    fresh_process.answer(
        Start(
            imports=1000 * (imported - task.started),
            load=1000 * (loaded - imported),
            first=1000 * (done - loaded),
            total=1000 * (done - task.started),
        )
    )


if __name__ == "__main__":
    main()
