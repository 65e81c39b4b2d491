"""Runs readers in processes that may die, with limits on memory and time, and a canary for code that runs."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from pem_edge.runtime.errors import PemError
from scripts.campaign.process import address_space, resident_memory

MEMORY = 2 << 30
"""Bytes that reading one input may take."""

SECONDS = 10.0
"""CPU time that reading one input may take."""

PATIENCE = 60.0
"""Time that reading one input may take on a busy machine, in seconds."""

_CANARIES = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pty.spawn", "socket.connect")
_NO_MEMORY = "needs more memory than there is"


class Outcome(NamedTuple):
    """The outcome of an input: ``kind`` is "read", "refused" or a fault; ``text`` says more."""

    kind: str
    text: str = ""

    @property
    def is_fault(self) -> bool:
        return self.kind not in ("read", "refused")


class Worker:
    """A process that reads inputs one after the other; another takes over if it dies.

    Args:
        read: The reader.
        path: The file in which it finds the input.
    """

    def __init__(self, read: Callable[[Path], object], path: Path) -> None:
        self._read, self._path = read, path
        self._start()

    def try_input(self, content: bytes) -> Outcome:
        """Return what happened on reading ``content``."""
        self._path.write_bytes(content)
        before, started = _cpu_seconds(self._pid), time.monotonic()
        self._pipe.send(None)
        while not self._pipe.poll(0.5):
            if not self._process.is_alive():
                return self._replace("crash", f"ended by {self._process.exitcode}")
            if _cpu_seconds(self._pid) - before > SECONDS:
                return self._replace("hang", f"more than {SECONDS:.0f} s of CPU time")
            if time.monotonic() - started > PATIENCE:
                return self._replace("hang", f"more than {PATIENCE:.0f} s")
        try:
            return Outcome(*self._pipe.recv())
        except EOFError:
            self._process.join()
            return self._replace("crash", f"ended by {self._process.exitcode}")

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.join()

    def _start(self) -> None:
        context = get_context("fork")  # the readers' libraries are imported once
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(self._read, self._path, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._pid = self._process.pid or 0

    def _replace(self, kind: str, text: str) -> Outcome:
        self._process.kill()
        self._process.join()
        self._start()
        return Outcome(kind, text)


def _serve(read: Callable[[Path], object], path: Path, pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):  # native libraries complain on standard error
        os.dup2(null, descriptor)
    touched: list[str] = []
    _set_canary(path.parent, touched)
    used = resident_memory()
    resource.setrlimit(resource.RLIMIT_AS, (address_space() + MEMORY, resource.RLIM_INFINITY))
    while True:
        pipe.recv()
        touched.clear()
        outcome = _outcome(read, path)
        if touched:
            outcome = Outcome("canary", touched[0])
        elif resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - used > MEMORY:
            outcome = Outcome("memory", outcome.text)
        pipe.send(tuple(outcome))


def _outcome(read: Callable[[Path], object], path: Path) -> Outcome:
    try:
        read(path)
    except PemError as error:
        text = str(error)
        if "\n" in text:
            return Outcome("several lines", text)
        return Outcome("memory" if _NO_MEMORY in text else "refused", text)
    except MemoryError:
        return Outcome("memory", "MemoryError")
    except BaseException as error:
        return Outcome("unexpected", f"{type(error).__name__}: {error}"[:300])
    return Outcome("read")


def _set_canary(folder: Path, touched: list[str]) -> None:
    """Note in ``touched`` programs started, connections made, and files written outside ``folder``."""

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event in _CANARIES:
            touched.append(f"{event} {arguments!r}"[:200])
        elif event == "open" and len(arguments) == 3 and isinstance(arguments[2], int):
            name = arguments[0]
            writes = arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if writes and isinstance(name, str | bytes) and not os.fsdecode(name).startswith((f"{folder}/", "/dev/")):
                touched.append(f"writes {os.fsdecode(name)}"[:200])

    sys.addaudithook(watch)


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return time.monotonic()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
