"""Names that a user may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(given: str, names: Iterable[str]) -> str:
    """Return ": did you mean NAME?" for the one of ``names`` that is most like ``given``; "" if none is like it."""
    by_folded = {name.casefold(): name for name in names}
    found = get_close_matches(given.casefold(), by_folded, n=1)
    return f": did you mean {by_folded[found[0]]}?" if found else ""


def no_such(given: str, names: Iterable[str]) -> str:
    """Return a message about a name that is none of ``names``: what may be meant, or else all of them."""
    every = list(names)
    return f"there is no {given!r}" + (did_you_mean(given, every) or f": choose from {', '.join(every)}")
