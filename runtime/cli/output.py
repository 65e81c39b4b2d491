"""Prints text, made safe for terminals, on streams that may be closed, full, or read by nobody."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO, cast

from pem_edge.runtime.outside.printable import printable


def show(*lines: str) -> None:
    """Print lines on standard output; names in them may come from outside."""
    for line in lines:
        print(printable(line), flush=True)


def show_text(text: str) -> None:
    """Print text of several lines on standard output; names in it may come from outside."""
    show(*text.split("\n"))


def complain(program: str, text: str) -> None:
    """Print a line on standard error, after the name of the command; names in it may come from outside."""
    print(f"{program}: {printable(text)}", file=sys.stderr, flush=True)


@contextmanager
def streams() -> Iterator[Stream]:
    """Make the standard streams usable during the ``with`` block, whatever they lead to; yields standard output.

    A stream that was closed leads to the null device, so that no file gets its number. Characters that a stream cannot
    encode are written as escapes.
    """
    _open_closed_descriptors()
    before = sys.stdout, sys.stderr
    output, errors = (Stream(stream or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")) for stream in before)
    sys.stdout, sys.stderr = cast("TextIO", output), cast("TextIO", errors)
    try:
        yield output
    finally:
        output.flush()
        errors.flush()
        sys.stdout, sys.stderr = before


class Stream:
    """A text stream that drops what cannot be written, and remembers why.

    Work goes on when the reader of a pipe leaves or a disk behind the stream is full.

    Attributes:
        failure: The first error; None if there was none, or if only the reader left.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._dropping = False
        self.failure: OSError | None = None
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        """Write or drop ``text``, and return its length."""
        if not self._dropping:
            try:
                self._stream.write(text)
            except OSError as error:
                self._drop(error)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered, or drop it."""
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        self._dropping = True
        self.failure = None if isinstance(error, BrokenPipeError) else error
        with suppress(OSError, ValueError):  # what is still buffered would be written, and fail, at the exit
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _open_closed_descriptors() -> None:
    while (lowest := os.open(os.devnull, os.O_RDWR)) < 3:  # the number is the lowest that is free
        pass
    os.close(lowest)
