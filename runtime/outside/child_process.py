"""Runs other programs, and modules of this package, in processes that may crash, hang or print without an end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, NamedTuple

_KEPT = 1 << 20
"""How many bytes at the end of an output are kept."""

_PATIENCE = 1.0
"""Seconds for a process that was killed to be gone; one that waits for a broken driver never is."""

_RUN_MODULE = (
    "import sys; sys.path[:] = sys.argv.pop(1).split('\\n'); import runpy; "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__')"
)
"""The program that runs a module with the import path of the process that starts it. ``python -m`` has another one, and
other libraries may then come first."""


class Ended(NamedTuple):
    """How a process ended.

    Attributes:
        code: The exit code; the negative number of the signal that ended it; None if it took too long.
        output: The end of what it printed on standard output, at most a megabyte.
        errors: The same for standard error.
    """

    code: int | None
    output: str
    errors: str

    @property
    def reason(self) -> str:
        """What went wrong, for a message: the exit code and the last line of standard error, or the signal."""
        if self.code is None:
            return "it did not end in time"
        if self.code < 0:
            return f"crashed with signal {-self.code} ({_signal_name(-self.code)})"
        return f"exit code {self.code}, {last_line(self.errors)[:300] or 'no message'}"


def run_module(module: str, argument: str, seconds: float) -> Ended:
    """Run a module of this package, with ``argument`` in ``sys.argv[1]``, in a new process of this interpreter.

    Raises:
        OSError: If no process can be started.
    """
    path = "\n".join(entry for entry in sys.path if isinstance(entry, str))
    return run([sys.executable, "-c", _RUN_MODULE, path, module, argument], seconds)


def run(command: Sequence[str], seconds: float) -> Ended:
    """Run a program with an empty standard input, and kill it and what it started after ``seconds``.

    Raises:
        OSError: If it cannot be started.
    """
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    kept, readers = (bytearray(), bytearray()), []
    for stream, end in zip((process.stdout, process.stderr), kept, strict=True):
        assert stream is not None
        readers.append(threading.Thread(target=_read, args=(stream, end), daemon=True))
        readers[-1].start()
    try:
        code: int | None = process.wait(seconds)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        _kill(process)
        for reader in readers:
            reader.join(_PATIENCE)
    return Ended(code, *(end.decode(errors="replace") for end in kept))


def last_line(text: str) -> str:
    """Return the last line that is not empty, without blanks around it."""
    return text.strip().rpartition("\n")[2].strip()


def _read(stream: IO[bytes], end: bytearray) -> None:
    with stream:
        while chunk := os.read(stream.fileno(), 1 << 16):
            end += chunk
            del end[:-_KEPT]


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and the others of its session, such as the commands of a script."""
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_PATIENCE)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
