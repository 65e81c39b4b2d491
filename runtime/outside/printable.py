"""Text from outside, such as names of classes and files, made safe to print."""

from __future__ import annotations

import builtins
import re
import reprlib

from pem_edge.runtime.escapes import printable

__all__ = ["a_type", "brief", "described", "is_utf8", "printable", "restored", "storable"]

_SURROGATE = re.compile(r"\\u(dc[89a-f][0-9a-f])")
"""Escape of a byte that is not UTF-8 in a name; Python has the surrogates U+DC80 to U+DCFF for these."""

_VOWEL = re.compile(r"[aeio]|u(?!int)|ndarray", re.IGNORECASE)
"""Beginning of a type's name that sounds like a vowel: an int, an ndarray, but a uint8."""

_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxlong = _BRIEF.maxother = 100


def storable(name: str) -> str:
    r"""Return the name of a file as JSON holds it: as it is, but for bytes that are not UTF-8, such as ``\udce9``.

    Whoever prints it makes it printable. `restored` undoes it, but not for a name that has a literal backslash with
    such letters behind it: both names are stored alike.
    """
    return name.encode(errors="backslashreplace").decode()


def restored(stored: str) -> str:
    """Return the name for which `storable` stands."""
    return _SURROGATE.sub(lambda match: chr(int(match[1], 16)), stored)


def brief(value: object) -> str:
    """Return ``value`` as Python writes it, on one line; of what is long, the beginning and the end."""
    return _BRIEF.repr(value)


def described(value: object) -> str:
    """Return ``value`` as `brief` does, with its type where that is what may be wrong: "'0.5', a str"."""
    plain = value is None or type(value) in (bool, int, float)
    return brief(value) if plain else f"{brief(value)}, {a_type(value)}"


def a_type(value: object) -> str:
    """Return the type of ``value`` with its article, such as "an int" or "a numpy.bool"; "None" for None."""
    name = type(value).__name__
    if getattr(builtins, name, type(value)) is not type(value):  # another type than Python's own of this name
        name = f"{type(value).__module__}.{name}"
    return "None" if value is None else f"{'an' if _VOWEL.match(name) else 'a'} {name}"


def is_utf8(name: str) -> bool:
    """Return whether a file's name is UTF-8; Python has surrogates for bytes that are not."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
