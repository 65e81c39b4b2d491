"""Run one of this package's modules in a process of its own."""

from __future__ import annotations

import sys
import time
from typing import TypeVar

import msgspec

from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.outside import child_process

_TIMEOUT = 600.0

Answer = TypeVar("Answer")


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """The task of a fresh process: to segment ``picture`` ``runs`` times.

    ``started`` is when it was started, by `time.monotonic`, which all processes of a machine share.
    """

    model: str
    backend: str
    threads: int | None
    bf16: bool = False
    picture: str
    runs: int = 1
    started: float = 0.0


def run(module: str, task: Task, answer: type[Answer]) -> Answer:
    """Return what ``module`` prints last for ``task``. Raises BackendError if it fails in any way."""
    payload = msgspec.json.encode(msgspec.structs.replace(task, started=time.monotonic())).decode()
    try:
        ended = child_process.run_module(module, payload, _TIMEOUT)
        if ended.code == 0:
            return msgspec.json.decode(child_process.last_line(ended.output), type=answer)
        reason = ended.reason
    except (OSError, msgspec.DecodeError) as error:
        reason = str(error)
    raise BackendError(f"{task.model} failed in a process of its own ({reason}): try it with pem-run")


def task() -> Task:
    """Return, in such a process, what it is to do."""
    return msgspec.json.decode(sys.argv[1], type=Task)


def answer(found: msgspec.Struct) -> None:
    """Hand back, from such a process, what was found."""
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
