"""The compiled functions of the assignment, and the structures they take, as layout.h has them."""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

BUILD_COMMAND = "python -m pem_edge.runtime.inference.postprocess.native.build"
"""Compiles the library in place."""


class Side(ctypes.Structure):
    """One side of the output, cut into tiles."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("tiles", "size", "grid")),
        *((name, ctypes.c_void_p) for name in ("first", "offset", "weights", "reach")),
    ]


class PixelAssignment(ctypes.Structure):
    """Everything a assignment reads and writes, all of it the caller's."""

    _fields_ = [
        *(
            (name, ctypes.c_void_p)
            for name in ("masks", "queries", "inverse_scores", "won", "original", "final", "boxes", "map", "workspace")
        ),
        *((name, ctypes.c_int32) for name in ("candidates", "half")),
        *((name, Side) for name in ("rows", "columns")),
    ]


@dataclass(frozen=True)
class Functions:
    """assignment.c's functions for one instruction set. They may run in several threads at once."""

    instruction_set: str
    workspace: Callable[..., int]
    open: Callable[..., int]
    complete: Callable[..., None]
    paint: Callable[..., None]


@cache
def load() -> Functions | None:
    """Return the functions for this processor, or None if there is no library of these sources that loads.

    Warns if there is one that does not load, or one of other sources.
    """
    from pem_edge.runtime.inference.postprocess.native import build  # here, so that it can run as a program

    path = build.library_path()
    if not path.is_file():
        if build.older_libraries():
            _warn(f"the compiled merge is of other sources: run {BUILD_COMMAND}")
        return None
    try:
        return functions(path)
    except OSError as error:
        _warn(f"{path} does not load ({error})")
        return None


def _warn(what: str) -> None:
    warnings.warn(f"{what}; until then NumPy merges, more slowly", RuntimeWarning, stacklevel=3)


def functions(path: Path, instruction_set: str | None = None) -> Functions:
    """Return the functions of the library at ``path`` for an instruction set that build.py names, by default the best.

    Raises OSError if it is not a library for this machine.
    """
    library = ctypes.CDLL(str(path))
    library.instruction_set.restype = ctypes.c_char_p
    chosen = instruction_set or library.instruction_set().decode()
    assignment, array = ctypes.POINTER(PixelAssignment), ctypes.c_void_p
    signatures = {
        "workspace": ([assignment], ctypes.c_size_t),
        "open": ([assignment], ctypes.c_int),
        "complete": ([assignment, array], None),
        "paint": ([assignment, array], None),
    }
    found = {name: getattr(library, f"assignment_{name}_{chosen}") for name in signatures}
    for name, (arguments, result) in signatures.items():
        found[name].argtypes, found[name].restype = arguments, result
    return Functions(chosen, **found)
