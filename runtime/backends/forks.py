"""Loaded models in processes that were forked from the one that loaded them.

Libraries run models in threads of their own, and a forked process has none of these: whatever uses the model there, or
frees it, may wait for them forever. So such a process never frees it, not even at its end.
"""

from __future__ import annotations

import ctypes
import os
from typing import Protocol
from weakref import WeakSet


class Loaded(Protocol):
    """A loaded model."""

    def on_fork(self) -> None:
        """Leave what was loaded alone, as this process was just forked from the one that loaded it."""


_loaded: WeakSet[Loaded] = WeakSet()


def watch(loaded: Loaded) -> None:
    """Call ``loaded.on_fork`` in every process that is forked from this one, for as long as ``loaded`` lives."""
    _loaded.add(loaded)


def keep_forever(value: object) -> None:
    """Keep ``value`` from being freed, also when the interpreter ends and frees everything."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


def _tell_all() -> None:
    for loaded in list(_loaded):
        loaded.on_fork()


os.register_at_fork(after_in_child=_tell_all)
