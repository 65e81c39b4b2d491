"""Escapes for what cannot be printed; below errors, whose messages have names from outside in them."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return ``text`` with what a terminal would obey or cannot show written as escapes, such as ``\x1b``.

    Escaped are control characters, those that reverse the direction of writing, line ends, and the surrogates that
    stand for the bytes of file names that are not UTF-8. Everything else, accents and emoji included, stays.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
