"""Asks a question that a new process answers, since the answer may take the process down."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from pem_edge.runtime.errors import PemError
from pem_edge.runtime.outside import child_process

_MARK = "pem-doctor's answer: "
_LONGEST_REASON = 300
_TURNS = threading.BoundedSemaphore(2)
"""Processes that run at the same time: more would take memory that small machines lack, and each other's time."""

Content = TypeVar("Content")


class Answer(msgspec.Struct, Generic[Content], frozen=True, kw_only=True):
    """An answer.

    Attributes:
        content: What was found; None if the process failed before.
        failure: Why it failed, or how it ended after it had answered; None if all went well.
    """

    content: Content | None = None
    failure: str | None = None


def ask(module: str, question: str, content: type[Content], seconds: float) -> Answer[Content]:
    """Return what ``module``, run in a new process, answers to ``question`` within ``seconds``. Nothing is raised."""
    with _TURNS:
        try:
            ended = child_process.run_module(module, question, seconds)
        except (OSError, RuntimeError) as error:  # the system allows no more processes or threads
            return Answer(failure=f"no process can be started: {error}")
    return _parse(ended, content)


def answer(reply: Callable[[str], object]) -> None:
    """Answer, in such a process, with what ``reply`` returns for the question."""
    output = os.dup(1)  # libraries print, and close, what they like
    signal.alarm(600)  # the process that asked may be gone
    try:
        found = Answer[object](content=reply(sys.argv[1]))
    except (Exception, SystemExit) as error:
        found = Answer(failure=_reason(error))
    os.write(output, f"\n{_MARK}{msgspec.json.encode(found).decode()}\n".encode())


def _parse(ended: child_process.Ended, content: type[Content]) -> Answer[Content]:
    line = ended.output.rpartition(_MARK)[2] if _MARK in ended.output else ""
    try:
        found = msgspec.json.decode(line.partition("\n")[0], type=Answer[content])  # type: ignore[valid-type]
    except msgspec.DecodeError:
        return Answer(failure="it ended the process" if ended.code == 0 else ended.reason)
    if found.failure is None and ended.code != 0:
        return Answer(content=found.content, failure=f"at the end, {ended.reason}")
    return found


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    named = text if isinstance(error, PemError) else f"{type(error).__name__}: {text}".removesuffix(": ")
    return named[:_LONGEST_REASON]
