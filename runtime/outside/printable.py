"""Text from outside, such as names of classes and files, made safe to print."""

from __future__ import annotations

import reprlib

_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxlong = _BRIEF.maxother = 100


def printable(text: str) -> str:
    r"""Return ``text`` with what a terminal would obey or cannot show written as escapes, such as ``\x1b``.

    Escaped are control characters, those that reverse the direction of writing, line ends, and the surrogates that
    stand for the bytes of file names that are not UTF-8. Everything else, accents and emoji included, stays.
    """
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def brief(value: object) -> str:
    """Return ``value`` as Python writes it, on one line; of what is long, the beginning and the end."""
    return _BRIEF.repr(value)


def is_utf8(name: str) -> bool:
    """Return whether a file's name is UTF-8; Python has surrogates for bytes that are not."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
