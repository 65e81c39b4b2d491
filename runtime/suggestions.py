"""Names that a user may have meant."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

_SYNONYMS = (
    {"trt", "tensorrt", "tensor-rt", "engine"},
    {"trt-rtx", "tensorrt-rtx", "tensorrt_rtx", "rtx"},
    {"onnxruntime", "ort", "onnx"},
    {"fp32", "float32", "float", "single", "full"},
    {"fp16", "float16", "half"},
)
"""Groups of names for one thing, of which difflib finds none by another."""

_MOST_FILES = 1000
"""Number of files beside a missing one that are looked at."""


def did_you_mean(given: str, names: Iterable[str]) -> str:
    """Return ": did you mean NAME?" for the one of ``names`` that is most like ``given``; "" if none is like it."""
    meant = _most_like(given, names)
    return "" if meant is None else f": did you mean {meant}?"


def did_you_mean_file(given: Path, names: Iterable[str] = (), suffixes: Collection[str] = ()) -> str:
    """Return ": did you mean PATH?" for the file beside ``given`` whose name is most like its name; "" if none is.

    Args:
        given: A path that does not exist.
        names: Names that may have been meant instead.
        suffixes: Those of files that may have been meant, in lower case; none for files of any.
    """
    known = {name: name for name in names}
    with suppress(OSError):
        for each in islice(given.parent.iterdir(), _MOST_FILES):
            if not suffixes or each.suffix.lower() in suffixes:
                known[each.name] = str(each)
    meant = _most_like(given.name, known)
    return "" if meant is None else f": did you mean {known[meant]}?"


def no_such(given: str, names: Iterable[str]) -> str:
    """Return a message about a name that is none of ``names``: what may be meant, or else all of them."""
    every = list(names)
    return f"there is no {given!r}" + (did_you_mean(given, every) or f": choose from {', '.join(every)}")


def _most_like(given: str, names: Iterable[str]) -> str | None:
    by_folded, folded = {name.casefold(): name for name in names if name != given}, given.casefold()
    synonyms = [name for group in _SYNONYMS if folded in group for name in by_folded if name in group]
    found = synonyms or get_close_matches(folded, by_folded, n=1)
    return by_folded[found[0]] if found else None
