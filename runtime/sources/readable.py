"""Leaves out images that cannot be read, and says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.plurals import plural

_Given = TypeVar("_Given")
_Read = TypeVar("_Read")


def read_readable(
    given: Iterable[_Given], read: Callable[[_Given], _Read], count: int | None = None
) -> tuple[list[_Read], list[InputError]]:
    """Return what ``read`` returns for the first images that it can read, and why it cannot read those between them.

    Args:
        given: What stands for the images, such as their paths.
        read: Reads one, or raises InputError.
        count: The number of images to stop at; None for all.

    Raises:
        InputError: If no image can be read, with the reason for the first.
    """
    results: list[_Read] = []
    errors: list[InputError] = []
    for each in given:
        try:
            results.append(read(each))
        except InputError as error:
            errors.append(error)
        if len(results) == count:
            break
    if errors and not results:
        first = errors[0]
        raise first if len(errors) == 1 else InputError(f"none of {len(errors)} images can be read, the first: {first}")
    return results, errors


def tell_left_out(errors: Sequence[InputError]) -> list[str]:
    """Return a line on the images that cannot be read; none if there are no such images."""
    if not errors:
        return []
    which = "" if len(errors) == 1 else ", the first"
    return [f"left out {plural(len(errors), 'image')} that cannot be read{which}: {errors[0]}"]
