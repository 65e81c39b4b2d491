"""Lists what is in folders, and what patterns such as ``photos/*.jpg`` match."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from glob import has_magic, iglob
from pathlib import Path

from pem_edge.runtime import images
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside.reading import reading
from pem_edge.runtime.sources.files import video

_SUFFIXES = images.SUFFIXES | video.SUFFIXES


def files_in(folder: Path, *, recursive: bool) -> list[Path]:
    """Return the image and video files of a folder, sorted by name; of folders in it, too, if ``recursive``.

    Files are told by their suffix. Without one that is known, all files of images are returned, whatever their names.
    Files that cannot be read, such as broken links, are among them, so that they are reported one by one.

    Raises:
        InputError: If there are none, or the folder cannot be read.
    """
    with reading(folder, InputError, expected="a folder of images", cure="give one that can be read"):
        files = sorted(_walk(folder, recursive=recursive))
    found = [path for path in files if path.suffix.lower() in _SUFFIXES]
    if not found and not (found := [path for path in files if images.recognizes(path)]):
        is_deeper = not recursive and any(map(is_folder, folder.iterdir()))
        deeper = (
            "; pem-run --recursive and Segmenter.stream(..., recursive=True) take those deeper" if is_deeper else ""
        )
        raise InputError(
            f"{folder} has no images or videos in it: expected files ending in {' '.join(sorted(images.SUFFIXES))}, "
            f".mp4 or the like{deeper}"
        )
    return found


def is_pattern(text: str) -> bool:
    """Return whether a name is a pattern of names, and not that of a file."""
    return has_magic(text) and not os.path.lexists(text)


def matching(pattern: str, *, recursive: bool) -> list[Path]:
    """Return the files that match a pattern, ``**`` for folders at any depth, sorted by name.

    Of folders that match, too, those in them are among the files if ``recursive``.

    Raises:
        InputError: If there are none.
    """
    with reading(pattern, InputError, expected="a pattern of files", cure="give one such as 'photos/*.jpg'"):
        found = sorted(Path(name) for name in iglob(pattern, recursive=True))  # noqa: PTH207  # of pathlib's none takes all
        files = [path for path in found if not is_folder(path)]
        inner = [path for folder in found if recursive and is_folder(folder) for path in _walk(folder, recursive=True)]
    files += [path for path in sorted(inner) if path.suffix.lower() in _SUFFIXES and path not in set(files)]
    if not files:
        raise InputError(f"{pattern} matches no file: give a pattern such as 'photos/*.jpg' that does")
    return files


def is_folder(path: Path) -> bool:
    """Return whether ``path`` is a folder; what cannot be looked at is none."""
    with suppress(OSError, ValueError):
        return path.is_dir()
    return False


def _walk(folder: Path, *, recursive: bool) -> Iterator[Path]:
    """Yield the files of a folder that are not hidden. Links to folders are not followed."""
    below: list[Path] = []
    with os.scandir(folder) as entries:
        for entry in _shown(entries):
            if not _is_folder_entry(entry):
                yield Path(entry.path)
            elif recursive and not entry.is_symlink():
                below.append(Path(entry.path))
    for each in below:
        yield from _walk(each, recursive=True)


def _shown(entries: Iterable[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
    return (entry for entry in entries if not entry.name.startswith("."))


def _is_folder_entry(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):
        return entry.is_dir()
    return False
