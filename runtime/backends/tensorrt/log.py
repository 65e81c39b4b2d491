"""What TensorRT says, kept for errors of ours instead of printed."""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import Protocol

from pem_edge.runtime.backends.tensorrt.interface import ILogger, Member, TensorRt


class ErrorLog(ILogger, Protocol):
    """A logger that keeps the latest errors."""

    errors: deque[str]


@cache
def logger(trt: TensorRt) -> ErrorLog:
    """Return the logger for TensorRT's module: one for the process, as TensorRT keeps the first that it meets."""

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.errors: deque[str] = deque(maxlen=20)

        def log(self, severity: Member, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.errors.append(" ".join(message.split()))

    made: ErrorLog = Logger()
    return made


def reason(trt: TensorRt) -> str:
    """Return the first error since the last call, of which later ones are mostly consequences, and forget them all."""
    errors = logger(trt).errors
    first = errors[0][:300] if errors else "it does not say why"
    errors.clear()
    return first
