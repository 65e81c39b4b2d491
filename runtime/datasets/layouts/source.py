"""What a user says about a dataset: where it is, which part of it, which classes are things."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.suggestions import no_such

_ALIASES = ({"train", "training"}, {"val", "valid", "validation"}, {"test", "testing"})
"""Groups of names for one split."""


@dataclass(frozen=True)
class Source:
    """A dataset in a folder.

    Attributes:
        prefix: The name of its layout, such as "cityscapes".
        folder: The folder.
        split: The name of the split; None for the only one.
        things: The classes that are things, where maps do not tell; None for those with usual names of things.
    """

    prefix: str
    folder: Path
    split: str | None = None
    things: Sequence[str] | None = None

    def __str__(self) -> str:
        return f"{self.prefix}:{self.folder}"

    def choose(self, found: Iterable[str]) -> str:
        """Return the one of the splits that were ``found`` that is meant.

        Raises:
            InputError: If it is none of them, or if none is named and there are several.
        """
        splits = sorted(found)
        if self.split is None:
            if len(splits) == 1:
                return splits[0]
            raise InputError(
                f"{self} has the splits {', '.join(splits)}: choose one with --split {splits[0]}, or as "
                f"{self}:{splits[0]}"
            )
        same = next((group for group in _ALIASES if self.split in group), {self.split})
        meant = self.split if self.split in splits else next((name for name in splits if name in same), None)
        if meant is None:
            raise InputError(f"{self}: {no_such(self.split, splits)}, the splits that are there")
        return meant


def subfolders(folder: Path) -> set[str]:
    """Return the names of the folders in ``folder``, none if it is no folder. Raises OSError if it cannot be read."""
    if not folder.is_dir():
        return set()
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if not entry.name.startswith(".") and _is_folder(entry)}


def _is_folder(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):  # of links in a circle
        return entry.is_dir()
    return False
