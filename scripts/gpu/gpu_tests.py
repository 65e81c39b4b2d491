"""The tests that use a GPU, by their mark."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.gpu.bench import Bench
from scripts.gpu.tasks import OutOfTime, Row, Task

ROOT = Path(__file__).parents[2]
PLACES = ("tests/runtime/backends",)
"""Where such tests are; the others need packages that a machine with a GPU may lack."""
SECONDS = 60


def tasks(bench: Bench) -> Iterator[Task]:
    """Yield one task, all the tests."""
    yield Task("marked gpu", {"places": " ".join(PLACES)}, SECONDS / 2, lambda: _run(bench))


def _run(bench: Bench) -> Row:
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-rfEs", "-p", "no:cacheprovider", *PLACES]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=bench.deadline.remaining())
    except subprocess.TimeoutExpired as late:
        raise OutOfTime from late
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines()[-1:]
    wrong = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    skipped = sorted({re.sub(r"^SKIPPED \[\d+\] [^:]+:\d+: ", "", line) for line in lines if line.startswith("SKIP")})
    row: Row = {"summary": lines[-1], "skipped because": "; ".join(skipped)}
    if done.returncode:
        return {**row, "failed": "; ".join(wrong) or lines[-1]}
    idle = not bench.device.dry and re.search(r"\b[1-9]\d* passed", lines[-1]) is None
    return {**row, "failed": "no test passed, expected one or more on a GPU"} if idle else row
