"""Checks of what a function is given, with errors that name the argument, what came, and what was expected."""

from __future__ import annotations

import os
from numbers import Integral, Real

from pem_edge.runtime.errors import ArgumentError
from pem_edge.runtime.outside.printable import described


def require_number(name: str, value: object, least: float, most: float, *, unit: str = "", without: str = "") -> None:
    """Raise ArgumentError unless the argument ``name`` is a number from ``least`` to ``most``.

    Args:
        name: The argument.
        value: What came for it. Numbers of NumPy are numbers; truth values are none.
        least: The minimum.
        most: The maximum.
        unit: The unit, such as "seconds".
        without: What None stands for, if it may be given instead, such as "all CPUs"; the caller accepts it.
    """
    _require(name, value, Real, "a number", (least, most), unit, without)


def require_whole(name: str, value: object, least: int, most: int, *, without: str = "") -> None:
    """Raise ArgumentError unless the argument ``name`` is a whole number from ``least`` to ``most``.

    The arguments are those of `require_number`.
    """
    _require(name, value, Integral, "a whole number", (least, most), "", without)


def require_path(name: str, value: object) -> None:
    """Raise ArgumentError unless the argument ``name`` is a path, as a str or a Path."""
    if not isinstance(value, (str, os.PathLike)):
        raise ArgumentError(f"{name} is {described(value)}, expected a path: give a str or a Path")


def require_callable(name: str, value: object) -> None:
    """Raise ArgumentError unless the argument ``name`` can be called."""
    if not callable(value):
        raise ArgumentError(f"{name} is {described(value)}, expected a function: give one, or None for none")


def _require(
    name: str, value: object, kind: type, noun: str, limits: tuple[float, float], unit: str, without: str
) -> None:
    least, most = limits
    if isinstance(value, kind) and not isinstance(value, bool) and least <= value <= most:  # type: ignore[operator]
        return
    number = f"{noun}{unit and f' of {unit}'} from {least:g} to {most:.0f}"
    cure = "give one" if not without else f"give one, or None for {without}"
    raise ArgumentError(f"{name} is {described(value)}, expected {number}: {cure}")
