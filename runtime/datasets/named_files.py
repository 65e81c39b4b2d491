"""Finding the files that annotations name. The names come from outside and never lead out of their folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NoReturn, TypeAlias

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside.printable import brief, restored
from pem_edge.runtime.outside.reading import reading

_Parts: TypeAlias = tuple[str, ...]
"""The folders and the name of a path."""

_MAX_PART, _MAX_PATH = 255, 4095
"""The most bytes that Linux takes for a name and for a path."""


class NamedFiles:
    r"""The files of a folder, by the names that annotations have for them.

    A name is a path below the folder, with ``/``, and ``\`` unless there is a file that has it in its own name; bytes
    that are not UTF-8 are as `storable` writes them. If there is no file of that path, the folders below are searched
    for a file whose path ends like the name or is the end of the name; the longest match is taken. Links are followed
    wherever they lead, as they are the user's own; it is the names that may not leave the folder.

    Args:
        folder: The folder.
        kind: What the files are, such as "image", for messages.
        annotations: The file with the names, for messages.
    """

    def __init__(self, folder: Path, kind: str, annotations: Path) -> None:
        self._folder, self._kind, self._annotations = folder, kind, annotations
        self._names: dict[Path, _Parts] = {}

    def find(self, name: str) -> Path:
        """Return the file called ``name``.

        Raises:
            InputError: If the name is not one below the folder, if no file or several match it, or if it is another
                name of a file that was found before: two images would otherwise get the same file in silence.
        """
        with reading(self._folder, InputError, expected=f"the folder with {brief(name)}", cure="name the right folder"):
            parts = self._split(name)
            literal = self._folder.joinpath(*_parts(name, "/"))
            is_literal = os.path.isfile(literal)  # noqa: PTH113  # Path.is_file raises if the whole is too long
            path = literal if is_literal else self._folder.joinpath(*parts)
            if (original := restored(name)) != name and not path.is_file():
                return self.find(original)
            if path in self._names or not path.is_file():
                path = self._search(name, parts)
        if self._names.setdefault(path, parts) != parts:
            first, second = (brief("/".join(each)) for each in (self._names[path], parts))
            raise InputError(
                f"{self._says(first)} and {second}, which are both {path}: expected a file for each name; keep the "
                "folders that the names have"
            )
        return path

    def _says(self, name: str) -> str:
        return f"{self._annotations} names the {self._kind} {name}"

    def _split(self, name: str) -> _Parts:
        """Return the parts of a name, all of which are below the folder."""
        parts = _parts(name, r"[/\\]")
        faults = {
            "is empty": not parts,
            "is absolute": re.match(r"([A-Za-z]:)?[/\\]", name),
            'leaves the folder by ".."': ".." in parts,
            "has a zero byte": "\0" in name,
            f"has a part of more than {_MAX_PART} bytes": any(len(os.fsencode(part)) > _MAX_PART for part in parts),
            f"has more than {_MAX_PATH} bytes": len(os.fsencode(name)) > _MAX_PATH,
        }
        for fault, found in faults.items():
            if found:
                raise InputError(f"{self._says(brief(name))}, which {fault}: write a path below {self._folder}")
        return parts

    def _search(self, name: str, parts: _Parts) -> Path:
        """Return the file in a folder below that matches best.

        Cityscapes needs a second try: its converter (createPanopticImgs.py in
        https://github.com/mcordts/cityscapesScripts) writes x_gtFine_leftImg8bit.png for an image called
        x_leftImg8bit.png.
        """
        converted = (*parts[:-1], parts[-1].replace("_gtFine_leftImg8bit", "_leftImg8bit"))
        for wanted in (_parts(name, "/"), parts, converted):
            matches = [
                path for path in self._below.get(wanted[-1], ()) if _common(path, wanted) and self._is_file(path)
            ]
            if matches:
                return self._folder.joinpath(*self._longest(matches, wanted, name))
        raise InputError(f"{self._says(brief(name))}, which is not in {self._folder}{self._hint(parts)}")

    def _longest(self, matches: Sequence[_Parts], wanted: _Parts, name: str) -> _Parts:
        most = max(_common(path, wanted) for path in matches)
        best = [path for path in matches if _common(path, wanted) == most]
        if len(best) > 1:
            first, second = (self._folder.joinpath(*path) for path in best[:2])
            raise InputError(
                f"{self._says(brief(name))}, which may be {first} or {second}: write the folder into file_name, too"
            )
        return best[0]

    def _hint(self, parts: _Parts) -> str:
        others = [path for path in self._below.get(parts[-1], ()) if path != parts]
        if others:
            return f", only {brief('/'.join(others[0]))}: correct its folders"
        return f": add the {self._kind}, or remove its entry"

    def _is_file(self, path: _Parts) -> bool:
        return self._folder.joinpath(*path).is_file()

    @cached_property
    def _below(self) -> dict[str, list[_Parts]]:
        """The paths of all files in the folder and in those below it, by the files' names."""
        found: dict[str, list[_Parts]] = {}
        for path in sorted(walk(self._folder)):
            found.setdefault(path[-1], []).append(path)
        return found


def _parts(name: str, separator: str) -> _Parts:
    return tuple(part for part in re.split(separator, name) if part not in ("", "."))


def _common(path: _Parts, wanted: _Parts) -> int:
    """Return the number of parts that the shorter has, if it is the end of the longer; 0 if it is not."""
    length = min(len(path), len(wanted))
    return length if path[-length:] == wanted[-length:] else 0


def walk(folder: Path) -> Iterator[_Parts]:
    """Yield the paths of all files below ``folder``. Links are followed, each folder is visited once."""
    visited: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=_fail):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders.sort()
        above = Path(place).relative_to(folder).parts
        yield from ((*above, name) for name in names)


def _fail(error: OSError) -> NoReturn:
    raise error
