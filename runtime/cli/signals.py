"""Ends a command in good order when it is asked to: by Ctrl-C, ``kill``, ``docker stop`` or a closed terminal."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType
from typing import TypeAlias

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that ask a command to end."""

_RESET_AFTER_FIRST = 0x8000_0000  # SA_RESETHAND, signal.h
_SIGNAL_MASK_BYTES = 128  # sigset_t in glibc and musl

Handler: TypeAlias = "Callable[[int, FrameType | None], object] | int | signal.Handlers | None"

_received: list[int] = []
_hearing: list[bool] = []
"""Not empty within `heard`, that is within a command; training can also be called as a library."""

_waiting: list[bool] = []
"""Not empty within `held` and `deferred`, where the end has to wait."""


def received() -> int | None:
    """Return the first signal that asked this command to end, or None."""
    return _received[0] if _received else None


def must_stop() -> bool:
    """Return whether this command was asked to end, and that need not wait."""
    return bool(_received) and not _waiting


@contextmanager
def heard() -> Iterator[None]:
    """Raise KeyboardInterrupt in the ``with`` block when the process is asked to end.

    A second signal of the same kind ends the process at once, even in native code that never returns. A signal that is
    ignored, as under ``nohup``, stays ignored.
    """

    def interrupt(number: int, _frame: FrameType | None) -> None:
        _received.append(number)
        if not _waiting:
            raise KeyboardInterrupt

    _received.clear()
    _hearing.append(True)
    before = _handle(interrupt)
    try:
        yield
    finally:
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
        raise KeyboardInterrupt


@contextmanager
def deferred(note: Callable[[], None]) -> Iterator[None]:
    """Call ``note`` in the ``with`` block, rather than raise an exception, when the process is asked to end.

    A second signal ends the process at once, then and after the block.
    """

    def defer(number: int, _frame: FrameType | None) -> None:
        _received.append(number)
        note()

    before = _handle(defer)
    _waiting.append(True)
    try:
        yield
    finally:
        _waiting.clear()
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if _received and _hearing else handler)
            if _hearing:
                _reset_after_first(number)
        if not _hearing:
            _received.clear()


def _handle(handler: Callable[[int, FrameType | None], None]) -> dict[signal.Signals, Handler]:
    """Handle the first signal of each kind by ``handler``; return the handlers that it replaces."""
    if current_thread() is not main_thread():  # only the main thread may handle signals
        return {}
    before = {number: signal.getsignal(number) for number in ENDING}
    heeded = {number: old for number, old in before.items() if old is not signal.SIG_IGN}
    for number in heeded:
        signal.signal(number, handler)
        _reset_after_first(number)
    return heeded


def _reset_after_first(number: int) -> None:
    """Let the kernel restore the default action of a signal when it comes, whatever Python is doing then.

    Python calls handlers between bytecodes, so a second signal would wait for native code to return, as the first does.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    action = (ctypes.c_byte * 256)()  # struct sigaction: the handler, the mask, the flags
    if libc.sigaction(number, None, action) == 0:
        flags = ctypes.c_uint32.from_buffer(action, ctypes.sizeof(ctypes.c_void_p) + _SIGNAL_MASK_BYTES)
        flags.value |= _RESET_AFTER_FIRST
        libc.sigaction(number, action, None)
