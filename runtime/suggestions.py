"""Names that a user may have meant."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from pem_edge.runtime.outside.printable import brief

_SYNONYMS = (
    {"trt", "tensorrt", "tensor-rt", "engine"},
    {"trt-rtx", "tensorrt-rtx", "tensorrt_rtx", "rtx"},
    {"onnxruntime", "ort", "onnx"},
    {"fp32", "float32", "float", "single", "full"},
    {"fp16", "float16", "half"},
)
"""Groups of names for one thing, of which difflib finds none by another."""

_LIKE, _ALMOST_THE_SAME = 0.6, 0.85
"""Likeness of names one of which may be meant by the other, and that of a name and its misspelling."""

_MOST_FILES = 1000
"""Number of files beside a missing one that are looked at."""


def did_you_mean(given: str, names: Iterable[str], likeness: float = _LIKE) -> str:
    """Return ": did you mean NAME?" for the one of ``names`` that is most like ``given``; "" if none is like it.

    Args:
        given: What came.
        names: What may have been meant.
        likeness: How much alike they must be, from 0 to 1, as `difflib` measures it.
    """
    meant = _most_like(given, names, likeness)
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
            is_there = os.path.exists(each)  # noqa: PTH110  # Path.exists raises for links into forbidden folders
            if is_there and (not suffixes or each.suffix.lower() in suffixes):
                known[each.name] = str(each)
    meant = _most_like(given.name, known)
    return "" if meant is None else f": did you mean {known[meant]}?"


def no_such(given: str, names: Iterable[str], at_hand: Collection[str] = ()) -> str:
    """Return a message about a name that is none of ``names``: what may be meant, or else all of them.

    Args:
        given: The name.
        names: The names that there are.
        at_hand: Those of them to propose, unless ``given`` is a misspelling of another, or a word for it; none for all.
    """
    every = list(names)
    offered = at_hand or every
    meant = did_you_mean(given, offered) or did_you_mean(given, every, _ALMOST_THE_SAME)
    return f"there is no {brief(given)}" + (meant or f": choose from {', '.join(offered)}")


def _most_like(given: str, names: Iterable[str], likeness: float = _LIKE) -> str | None:
    by_folded = {name.casefold(): name for name in names if name != given}
    found = _synonyms(given, by_folded) or get_close_matches(given.casefold(), by_folded, n=1, cutoff=likeness)
    return by_folded[found[0]] if found else None


def _synonyms(given: str, names: Iterable[str]) -> list[str]:
    """Return those of ``names`` that are other words for ``given``."""
    return [name for name in names for group in _SYNONYMS if given.casefold() in group and name.casefold() in group]
