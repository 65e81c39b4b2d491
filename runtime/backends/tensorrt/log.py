"""Collects TensorRT's error messages, for use in exceptions, instead of printing them."""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import Protocol

from pem_edge.runtime.backends.tensorrt.interface import ILogger, Member, TensorRt


class ErrorLog(ILogger, Protocol):
    """A logger that keeps the latest errors."""

    errors: deque[str]
    """The latest error messages, each on one line, oldest first."""


@cache
def logger(trt: TensorRt) -> ErrorLog:
    """Return the logger for TensorRT's module ``trt``.

    There is one per process, as TensorRT keeps using the first logger that it is given.
    """

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.errors: deque[str] = deque(maxlen=20)

        def log(self, severity: Member, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.errors.append(" ".join(message.split()))

    log: ErrorLog = Logger()
    return log


def pop_error(trt: TensorRt) -> str:
    """Return the first error since the last call, and clear the log; later errors mostly follow from the first."""
    errors = logger(trt).errors
    first = errors[0][:300] if errors else "it does not say why"
    errors.clear()
    return first
