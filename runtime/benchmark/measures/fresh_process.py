"""Run one of this package's modules in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TypeVar

import msgspec

from pem_edge.runtime.errors import BackendError

_TIMEOUT = 600.0
_ROOT = Path(__file__).parents[4]

Answer = TypeVar("Answer")


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """The task of a fresh process: to segment ``picture`` ``runs`` times.

    ``started`` is when it was started, by `time.monotonic`, which all processes of a machine share.
    """

    model: str
    backend: str
    threads: int | None
    picture: str
    runs: int = 1
    started: float = 0.0


def run(module: str, task: Task, answer: type[Answer]) -> Answer:
    """Return what ``python -m module`` prints last for ``task``. Raises BackendError if it fails in any way."""
    paths = [str(_ROOT), os.environ.get("PYTHONPATH")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    payload = msgspec.json.encode(msgspec.structs.replace(task, started=time.monotonic())).decode()
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, payload],
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT,
            env=environment,
        )
        if done.returncode == 0:
            return msgspec.json.decode(done.stdout.strip().rpartition("\n")[2], type=answer)
        reason = f"exit code {done.returncode}, {_last_line(done.stderr)}"
    except subprocess.TimeoutExpired:
        reason = f"it took more than {_TIMEOUT:.0f} s"
    except (OSError, msgspec.DecodeError) as error:
        reason = str(error)
    raise BackendError(f"{task.model} failed in a process of its own ({reason}): try it with pem-run")


def task() -> Task:
    """Return, in such a process, what it is to do."""
    return msgspec.json.decode(sys.argv[1], type=Task)


def answer(found: msgspec.Struct) -> None:
    """Hand back, from such a process, what was found."""
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2][:300] or "no message"
