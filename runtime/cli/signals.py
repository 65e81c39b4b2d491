"""Ends a command in good order when it is asked to: by Ctrl-C, ``kill``, ``docker stop`` or a closed terminal."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Event, Thread, current_thread, main_thread
from types import FrameType
from typing import TypeAlias

from pem_edge.runtime.errors import PemError

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that ask a command to end."""

REPEATS = 0.5
"""Seconds in which further signals are the first one again: ``timeout`` and others signal a process and its group."""

Handler: TypeAlias = "Callable[[int, FrameType | None], object] | int | signal.Handlers | None"

_received: list[tuple[int, float]] = []
"""The signals that asked this command to end, and when they came."""

_hearing: list[bool] = []
"""Not empty within `heard`, that is within a command; training can also be called as a library."""

_waiting: list[bool] = []
"""Not empty within `held` and `deferred`, where the end has to wait."""

_escalated: list[bool] = []
"""Not empty once the next signal ends the process."""


class AskedToEnd(KeyboardInterrupt):
    """A signal asked the command to end.

    Not KeyboardInterrupt itself: Python takes one that passes through ``exec`` of text, as when dataclasses are
    defined, for one that nobody handles, and in the end kills the process by SIGINT rather than return an exit code.
    """


def received() -> int | None:
    """Return the first signal that asked this command to end, or None."""
    return _received[0][0] if _received else None


def must_stop() -> bool:
    """Return whether this command was asked to end, and that need not wait."""
    return bool(_received) and not _waiting


def caused(error: BaseException) -> bool:
    """Return whether ``error`` was raised from the end that a signal asked for, which libraries take for their failure.

    A module in C++, say, that is interrupted while it is imported raises ImportError. An error of ours that only
    happened while the command ended, such as a full disk, is not such a one.
    """
    is_ours = isinstance(error, PemError)
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:  # an exception may be its own cause
        causes.append(cause)
        cause = cause.__cause__ or (None if is_ours else cause.__context__)
    return any(isinstance(each, AskedToEnd) for each in causes)


@contextmanager
def heard() -> Iterator[None]:
    """Raise KeyboardInterrupt in the ``with`` block when the process is asked to end.

    A second signal, half a second later or more, ends the process at once, even in native code that never returns,
    unless that keeps the interpreter's lock. A signal that is ignored, as under ``nohup``, stays ignored.
    """

    def interrupt(number: int, _frame: FrameType | None) -> None:
        if _is_first(number) and not _waiting:
            raise AskedToEnd

    _forget()
    _hearing.append(True)
    with ExitStack() as stack:
        before = _handle(interrupt)
        if before:
            stack.enter_context(_escalating(before))
        try:
            yield
        finally:
            if _received:  # a repeat must not end what is left to do, such as to say that this was interrupted
                time.sleep(max(0.0, _received[0][1] + REPEATS - time.monotonic()))
            _hearing.clear()
            for number, handler in before.items():
                signal.signal(number, handler)


def hold() -> None:
    """Let the end wait until `release`, as files would be left in disorder otherwise."""
    _waiting.append(True)


def release() -> None:
    """Let the end wait no longer."""
    _waiting.clear()


@contextmanager
def held() -> Iterator[None]:
    """Raise KeyboardInterrupt after the ``with`` block, not in it, when the process is asked to end."""
    hold()
    try:
        yield
    finally:
        release()
    if must_stop():
        raise AskedToEnd


@contextmanager
def deferred(note: Callable[[], None]) -> Iterator[None]:
    """Call ``note`` in the ``with`` block, rather than raise an exception, when the process is asked to end.

    A second signal ends the process at once, or raises KeyboardInterrupt outside of `heard`.
    """

    def defer(number: int, _frame: FrameType | None) -> None:
        if _is_first(number):
            note()

    before = _handle(defer)
    hold()
    try:
        yield
    finally:
        release()
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if _escalated else handler)
        if not _hearing:
            _received.clear()


def _forget() -> None:
    for each in (_received, _hearing, _waiting, _escalated):
        each.clear()


def _is_first(number: int) -> bool:
    """Note a signal, and return whether it is the first. Raises KeyboardInterrupt if it is one too many."""
    now = time.monotonic()
    _received.append((number, now))
    if now - _received[0][1] > REPEATS:
        raise AskedToEnd
    return len(_received) == 1


def _handle(handler: Callable[[int, FrameType | None], None]) -> dict[signal.Signals, Handler]:
    """Handle the signals by ``handler``; return the handlers that it replaces."""
    if current_thread() is not main_thread():  # only the main thread may handle signals
        return {}
    before = {number: signal.getsignal(number) for number in ENDING}
    heeded = {number: old for number, old in before.items() if old is not signal.SIG_IGN}
    for number in heeded:
        signal.signal(number, handler)
    return heeded


@contextmanager
def _escalating(numbers: Iterable[int]) -> Iterator[None]:
    """Let any of the signals end the process at once as soon as the first one is `REPEATS` seconds old."""
    ended = Event()
    listening, told = os.pipe()
    os.set_blocking(told, False)
    before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    thread = Thread(target=_escalate, args=(listening, frozenset(numbers), ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(before)
        os.write(told, bytes(1))  # forked processes may keep the pipe from ending
        thread.join()
        os.close(told)
        os.close(listening)


def _escalate(listening: int, numbers: frozenset[int], ended: Event) -> None:
    """Wait for a signal, then let the kernel end the process at the next one, as Python waits for native code."""
    while os.read(listening, 1)[0] not in numbers:
        if ended.is_set():
            return
    if not ended.wait(REPEATS):
        _escalated.append(True)
        for number in numbers:
            ctypes.CDLL(None).signal(number, None)  # SIG_DFL; Python's own function needs the main thread


def _leave_to_parent() -> None:
    """Give a forked process the handlers that it would have without a command around it."""
    if _hearing:
        _forget()
        signal.set_wakeup_fd(-1)
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)


os.register_at_fork(after_in_child=_leave_to_parent)
