"""What TensorRT says, kept for errors of ours instead of printed."""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import Any


@cache
def logger(trt: Any) -> Any:
    """The logger for ``trt``, which is TensorRT's module: one for the process, as TensorRT keeps the first it meets.

    Its ``errors`` are the latest messages.
    """

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=20)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.errors.append(" ".join(message.split()))

    return Logger()


def reason(trt: Any) -> str:
    """The first error since the last call, which later ones are mostly consequences of. Forgets them all."""
    errors = logger(trt).errors
    first = errors[0][:300] if errors else "it does not say why"
    errors.clear()
    return first
