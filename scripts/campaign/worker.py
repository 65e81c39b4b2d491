"""Runs readers in processes that may die, with limits on memory and time, and a canary for code that runs."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import CodeType, TracebackType
from typing import NamedTuple

from pem_edge.runtime.benchmark.measures.memory import peak_resident
from pem_edge.runtime.errors import PemError
from scripts.campaign.process import address_space, resident_memory

MEMORY = 2 << 30
"""Bytes that reading one input may take."""

SECONDS = 20.0
"""Seconds of CPU time that reading one input may take."""

PATIENCE = 60.0
"""Seconds that reading one input may take in all; other processes may be using the CPU."""

_CANARIES = (
    "os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pty.spawn", "socket.connect", "exec",
)  # fmt: skip
"""Events that mean that code was run; imports raise "exec", too, but from files."""

_ONE, _OTHER, _BOTH = slice(1), slice(1, 2), slice(2)
_CHANGES = {
    "os.remove": _ONE, "os.mkdir": _ONE, "os.rmdir": _ONE, "os.truncate": _ONE, "os.chmod": _ONE, "os.rename": _BOTH,
    "os.symlink": _OTHER, "os.link": _OTHER,
}  # fmt: skip
"""Events of changes, and which of their arguments are the paths that are changed."""
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
        try:
            return self._ask()
        except (EOFError, OSError):
            self._process.join()
            return self._replace("crash", f"ended by {self._process.exitcode}")

    def _ask(self) -> Outcome:
        before, started = _cpu_seconds(self._pid), time.monotonic()
        self._pipe.send(None)
        while not self._pipe.poll(0.5):
            if not self._process.is_alive():
                return self._replace("crash", f"ended by {self._process.exitcode}")
            if _cpu_seconds(self._pid) - before > SECONDS:
                return self._replace("hang", f"more than {SECONDS:.0f} s of CPU time")
            if time.monotonic() - started > PATIENCE:
                return self._replace("hang", f"more than {PATIENCE:.0f} s")
        return Outcome(*self._pipe.recv())

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
    # Whoever waits for the end of a pipe of the parent must not wait for this process, nor this one for its own pipe.
    for descriptor in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        if descriptor > 2 and descriptor != pipe.fileno():
            with suppress(OSError):  # that of the listing itself
                os.close(descriptor)
    touched: list[str] = []
    _set_canary(path.parent, touched)
    used = resident_memory()
    resource.setrlimit(resource.RLIMIT_AS, (address_space() + MEMORY, resource.RLIM_INFINITY))
    with suppress(EOFError):  # at the end of the parent
        while True:
            pipe.recv()
            touched.clear()
            outcome = _outcome(read, path)
            if touched:
                outcome = Outcome("canary", touched[0])
            elif (peak_resident() or 0) - used > MEMORY:
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
    """Note in ``touched`` what Python runs, starts and connects to, and what it changes outside ``folder``.

    Native code raises no such events.
    """

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event in _CANARIES and not _is_import(event, arguments):
            touched.append(f"{event} {arguments!r}"[:200])
        elif event in _CHANGES or (event == "open" and _writes(arguments)):
            names = (each for each in arguments[_CHANGES.get(event, _ONE)] if isinstance(each, str | bytes | Path))
            touched.extend(
                f"{event} {os.fsdecode(name)}"[:200]
                for name in names
                if not os.fsdecode(name).startswith((f"{folder}/", "/dev/"))
            )

    sys.addaudithook(watch)


def _is_import(event: str, arguments: tuple[object, ...]) -> bool:
    return event == "exec" and isinstance(arguments[0], CodeType) and Path(arguments[0].co_filename).is_file()


def _writes(arguments: tuple[object, ...]) -> bool:
    return len(arguments) == 3 and isinstance(arguments[2], int) and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0  # it has ended, which is noticed elsewhere
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
