"""Ctrl-C at a moment of choice."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path


def interrupt_export(*arguments: str | Path, at: str, after: float) -> None:
    """Run ``pem-export``, interrupt it ``after`` seconds from the remark that holds ``at``, and see that it says so."""
    command = [sys.executable, "-m", "pem_edge.export.cli.export", *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if at in line:
            break
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    remaining = process.stderr.read()
    assert process.wait(60) == 130, remaining
    assert remaining.splitlines()[-1] == "pem-export: interrupted"
