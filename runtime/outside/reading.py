"""The door for files that others made: whatever their bytes cause becomes one of this package's errors."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pem_edge.runtime.errors import PemError
from pem_edge.runtime.outside import stand_ins
from pem_edge.runtime.outside.printable import brief

_LONGEST_REASON = 160


@contextmanager
def reading(source: str | Path, error: type[PemError], *, expected: str, cure: str) -> Iterator[None]:
    """Turn every exception of the ``with`` block, which reads a foreign file, into ``error``.

    A parser given damaged bytes may raise anything. Errors of this package pass through as they are, unless the file is
    a web page or a pointer of Git LFS, and so do interruptions.

    Args:
        source: The file, or a name for it in messages.
        error: The type of the error.
        expected: What the file should be, such as "a manifest of pem-edge".
        cure: The advice at the end of the message, such as "export the model again".

    Raises:
        PemError: If the block raises. The type is ``error``.
    """
    try:
        yield
    except Exception as cause:
        if stand_in := stand_ins.recognize_file(source, expected):
            raise error(f"{source} {stand_in}") from cause
        if isinstance(cause, PemError):
            raise
        raise error(_message(cause, source, expected, cure)) from cause


def read_bytes(path: Path, error: type[PemError], *, limit: int, expected: str, cure: str) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes; the other arguments are those of `reading`.

    Raises:
        PemError: If it cannot be read, is not a regular file, or is larger. The type is ``error``.
    """
    with reading(path, error, expected=expected, cure=cure):
        if not path.exists():
            raise error(f"{absence(path)}, expected {expected}: {cure}")
        if not path.is_file():
            raise error(f"{path} is not a file, expected {expected}: {cure}")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise error(f"{path} has {size} bytes, more than the {limit} of {expected}: {cure}")
            return file.read(size)


def _message(cause: Exception, source: str | Path, expected: str, cure: str) -> str:
    match cause:
        case OSError(errno=errno.ENAMETOOLONG):
            return f"cannot read {brief(str(cause.filename or source))}: {cause.strerror}; {cure}"
        case OSError(errno=int()):  # some libraries raise it without a number, for damaged content
            return f"cannot read {cause.filename or source}: {cause.strerror or cause}; {cure}"
        case MemoryError():
            return f"{source} needs more memory than there is, expected {expected}: close other programs, or {cure}"
        case RecursionError():
            return f"{source} is nested too deeply, expected {expected}: {cure}"
        case _:
            return f"{source} is damaged or not {expected} ({_reason(cause)}): {cure}"


def absence(path: Path) -> str:
    """Return "street.jpg does not exist", or of links to nothing, or in a circle, that they are such."""
    try:
        path.stat()
    except (OSError, ValueError) as error:  # of what is no path, a ValueError
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            return f"{path} is behind too many levels of symbolic links"
    with suppress(OSError, ValueError):  # it is no link, or no path
        target = path.readlink()
        return f"{path} is a link to {target}, which does not exist"
    return f"{path} does not exist"


def _reason(cause: Exception) -> str:
    text = " ".join(str(cause).split())
    named = text if type(cause) is ValueError and text else f"{type(cause).__name__}: {text}".removesuffix(": ")
    return named[:_LONGEST_REASON]
