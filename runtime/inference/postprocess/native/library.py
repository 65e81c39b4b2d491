"""Loads the compiled pixel assignment. Its structures mirror layout.h."""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

BUILD_COMMAND = "python -m pem_edge.runtime.inference.postprocess.native.build"
"""Command that compiles the library in place."""


class Side(ctypes.Structure):
    """One side of the output, divided into tiles; see `Side` in layout.h."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("tiles", "size", "grid")),
        *((name, ctypes.c_void_p) for name in ("first", "offset", "weights", "reach")),
    ]


class AssignmentBuffers(ctypes.Structure):
    """The input and output of an assignment, all owned by the caller; see `AssignmentBuffers` in layout.h."""

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
    """The functions of assignment.c for one instruction set. Several threads may call them at the same time.

    Attributes:
        instruction_set: The name of the instruction set, a key of `build.X86_64` or "baseline".
        workspace: Returns the number of bytes of workspace that an assignment needs.
        open: Counts and assigns all pixels except background. Returns 0 if a mask is not finite.
        complete: Counts the background that may be won by the candidates flagged in an array of bytes.
        paint: Replaces each candidate in the map by its id in an array of int32.
    """

    instruction_set: str
    workspace: Callable[..., int]
    open: Callable[..., int]
    complete: Callable[..., None]
    paint: Callable[..., None]


@cache
def load() -> Functions | None:
    """Return the functions for this processor, or None if there is no usable library of the current sources.

    Warns if a library exists that cannot be loaded, or that was compiled from other sources.
    """
    # Imported here, because ``python -m`` warns about a module that was already imported by its package.
    from pem_edge.runtime.inference.postprocess.native import build

    path = build.library_path()
    if not path.is_file():
        if build.older_libraries():
            _warn(f"the compiled merge was built from other sources: run {BUILD_COMMAND}")
        return None
    try:
        return functions(path)
    except OSError as error:
        _warn(f"{path} does not load ({error})")
        return None


def _warn(what: str) -> None:
    warnings.warn(f"{what}; until then NumPy merges, more slowly", RuntimeWarning, stacklevel=3)


def functions(path: Path, instruction_set: str | None = None) -> Functions:
    """Load the functions of a library for one instruction set.

    Args:
        path: The library.
        instruction_set: A name out of `build.instruction_sets`; None for the best that this processor supports.

    Raises:
        OSError: If the file is not a library for this machine.
    """
    library = ctypes.CDLL(str(path))
    library.instruction_set.restype = ctypes.c_char_p
    chosen = instruction_set or library.instruction_set().decode()
    assignment, array = ctypes.POINTER(AssignmentBuffers), ctypes.c_void_p
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
