"""Numbers with nouns, and lists of names."""

from __future__ import annotations

from collections.abc import Iterable


def plural(count: int, noun: str, several: str | None = None) -> str:
    """Return "1 image", "2 images". ``several`` is the plural if it is not the noun with an s, such as "classes"."""
    return f"{count} {noun}" if count == 1 else f"{count} {several or noun + 's'}"


def first_few(names: Iterable[str], count: int = 3) -> str:
    """Return the first ``count`` names, separated by commas, and a mark if there are more."""
    every = list(names)
    return ", ".join(every[:count]) + (", …" if every[count:] else "")
