"""Making one source of images, videos, folders and patterns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from pem_edge.runtime import images
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.images import Image
from pem_edge.runtime.sources.files import folders, own_results, video
from pem_edge.runtime.sources.files.pictures import Pictures, frame_names, to_path
from pem_edge.runtime.sources.files.several import Several
from pem_edge.runtime.sources.files.video import Video
from pem_edge.runtime.sources.names import unique_stems


def collect(given: Sequence[Image], *, recursive: bool, once: bool = False) -> Pictures | Several | Video:
    """Return the source of all that is given: images, see `images.convert`; videos, folders and patterns.

    Results of this package are left out of folders and of what patterns match. With ``once``, what is given must be
    text, and no file or address is taken twice.

    Raises:
        InputError: If a folder or a pattern has no images or videos, or something is live.
    """
    found: list[Image] = []
    left_out = 0
    for each in given:
        if (files := _expand(each, recursive=recursive)) is None:
            found.append(to_path(each))
            continue
        others = [path for path in files if not own_results.is_own(path)]
        if not others:
            raise InputError(f"{each!s} has only results of earlier runs: give the images or videos themselves")
        found += others
        left_out += len(files) - len(others)
    source = _make_source(list(dict.fromkeys(found)) if once else found)
    source.left_out = left_out
    return source


def _expand(given: Image, *, recursive: bool) -> list[Path] | None:
    """Return the files that a folder or a pattern stands for; None if it is neither."""
    path = to_path(given)
    if not isinstance(path, Path):
        return None
    if folders.is_folder(path):
        return folders.files_in(path, recursive=recursive)
    if not isinstance(given, str) or not folders.is_pattern(given):
        return None
    return folders.matching(given, recursive=recursive)


def _make_source(found: Sequence[Image]) -> Pictures | Several | Video:
    """Return the source of images and videos in their order."""
    names = frame_names(found)
    films = {name for name, each in zip(names, found, strict=True) if isinstance(each, Path) and _is_video(each)}
    if not films:
        return Pictures(found)
    if len(found) == 1 and isinstance(found[0], Path):
        return Video(found[0])
    stems = unique_stems(names)
    parts: list[Pictures | Video] = []
    for is_film, group in groupby(zip(names, found, strict=True), key=lambda each: each[0] in films):
        named = list(group)
        if is_film:
            parts += [Video(Path(name), stems[name], late=True) for name in dict.fromkeys(name for name, _ in named)]
        else:
            parts.append(Pictures([image for _, image in named], {name: stems[name] for name, _ in named}))
    return Several(parts)


def _is_video(path: Path) -> bool:
    """Return whether a file is taken for a video: by its suffix, or if that says nothing by not being an image."""
    suffix = path.suffix.lower()
    if suffix in images.SUFFIXES or suffix in video.SUFFIXES:
        return suffix not in images.SUFFIXES
    return not images.recognizes(path) and path.is_file()
