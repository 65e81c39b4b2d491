"""Numbers with nouns."""

from __future__ import annotations


def plural(count: int, noun: str, several: str | None = None) -> str:
    """Return "1 image", "2 images". ``several`` is the plural if it is not the noun with an s, such as "classes"."""
    return f"{count} {noun}" if count == 1 else f"{count} {several or noun + 's'}"
