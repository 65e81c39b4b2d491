"""Renaming by a table of patterns."""

from __future__ import annotations

import re
from collections.abc import Iterable


class Renaming:
    """Renames a tensor by applying, one after another, all patterns of a table.

    Args:
        table: Pairs of a pattern and its replacement, as `re.sub` takes them.
    """

    def __init__(self, table: Iterable[tuple[str, str]]) -> None:
        self._table = [(re.compile(pattern), replacement) for pattern, replacement in table]

    def __call__(self, key: str) -> str:
        """Return the new name of the tensor ``key``, which is ``key`` itself if no pattern matches."""
        for pattern, replacement in self._table:
            key = pattern.sub(replacement, key)
        return key
