"""Processes that do not outlive a test."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def started(command: Sequence[str], **popen: Any) -> Iterator[subprocess.Popen[Any]]:
    """``command`` in a process that is gone afterwards, whatever it hangs in; pipes are as ``popen`` says, or ours."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, **{"text": True, **pipes, **popen})
    try:
        yield process
    finally:
        process.kill()
        process.wait()
