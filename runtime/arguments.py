"""Checks of what a function is given, with errors that name the argument, what came, and what was expected."""

from __future__ import annotations

import os
from contextlib import suppress
from decimal import Decimal
from numbers import Integral, Real

from pem_edge.runtime.errors import ArgumentError
from pem_edge.runtime.outside.printable import described


def number_in(
    name: str, value: object, least: float, most: float, *, such_as: float, unit: str = "", without: str = ""
) -> float:
    """Return the number that the argument ``name`` is, from ``least`` to ``most``. Raises ArgumentError if it is none.

    Args:
        name: The argument.
        value: What came for it. Fractions, decimals, and scalars and arrays without dimensions of NumPy and the like
            are numbers; truth values are not, as whoever gives one for a number means something else.
        least: The minimum.
        most: The maximum.
        such_as: An example, for the cure.
        unit: The unit, such as "seconds".
        without: What None stands for, if it may be given instead, such as "one per core"; the caller accepts it.
    """
    plain = _unwrapped(value)
    if isinstance(plain, (Real, Decimal)) and not isinstance(plain, bool):
        with suppress(ValueError, OverflowError):  # of a signaling NaN, and of what is larger than any float
            if least <= (number := float(plain)) <= most:
                return number
    noun = f"number of {unit}" if unit else "number"
    raise _refusal(name, value, f"a {noun} from {least:.9g} to {most:.9g}", such_as, without)


def require_whole(name: str, value: object, least: int, most: int, *, such_as: int, without: str = "") -> None:
    """Raise ArgumentError unless the argument ``name`` is a whole number from ``least`` to ``most``.

    The arguments are those of `number_in`. Arrays are no whole numbers.
    """
    if isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) <= most:
        return
    raise _refusal(name, value, f"a whole number from {least} to {most}", such_as, without)


def require_flag(name: str, value: object) -> None:
    """Raise ArgumentError unless the argument ``name`` is a bool."""
    if not isinstance(value, bool):
        raise ArgumentError(f"{name} is {described(value)}, expected a bool: give True or False")


def require_path(name: str, value: object) -> None:
    """Raise ArgumentError unless the argument ``name`` is a path, as a str or a Path."""
    if not isinstance(value, (str, os.PathLike)):
        raise ArgumentError(f"{name} is {described(value)}, expected a path: give a str or a Path")


def require_callable(name: str, value: object) -> None:
    """Raise ArgumentError unless the argument ``name`` can be called."""
    if not callable(value):
        raise ArgumentError(f"{name} is {described(value)}, expected a function: give one such as print, or None")


def _unwrapped(value: object) -> object:
    """Return the number of Python in a scalar or an array without dimensions; what is neither, as it is."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "ndim", None) == 0 else value


def _refusal(name: str, value: object, expected: str, such_as: float, without: str) -> ArgumentError:
    cure = f"give one such as {such_as:g}{without and f', or None for {without}'}"
    return ArgumentError(f"{name} is {described(value)}, expected {expected}: {cure}")
