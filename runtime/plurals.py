"""Numbers with nouns."""

from __future__ import annotations


def plural(count: int, noun: str) -> str:
    """Return "1 image", "2 images"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
