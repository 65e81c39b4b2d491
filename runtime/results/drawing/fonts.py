"""Fonts for names: Pillow's own, which has little more than ASCII, and those of the system for what it lacks.

A package with a font for Chinese, Japanese and Korean alone would be larger than this one.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from threading import Lock

from PIL import ImageFont, features

from pem_edge.runtime.outside.printable import brief

_log = logging.getLogger(__name__)

VARIABLE = "PEM_EDGE_FONT"
"""Environment variable with a font, or a folder of fonts, that is preferred to the system's."""

_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "/Library/Fonts", "C:/Windows/Fonts")
"""Where fonts are, if fontconfig does not know."""
_SUFFIXES = (".ttf", ".otf", ".ttc")
_MOST_FILES, _MOST_SEARCHES = 300, 3
"""Limits on the files of a folder, and on how often a font for one script is looked for."""
_SEARCH_SECONDS = 5.0
_NO_CHARACTER = "\U0010ffff"
"""A code point that is no character, so that every font shows its sign for missing ones."""
_PARTS = re.compile(r"[\x21-\x7e…]+|[^\x21-\x7e…]+")

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Face:
    """A font's file, and its number in it; Pillow's own font if there is no file."""

    path: str = ""
    number: int = 0

    def covers(self, text: str) -> bool:
        """Return whether the font has all characters of ``text``."""
        return all(_has(self, character) for character in text)


def split(text: str) -> list[tuple[Face, str]] | None:
    """Return the parts of ``text`` that one font shows, each with its font; None if a character is in no font."""
    if not _in_order(text):
        return None
    fonts, parts = _fonts(os.environ.get(VARIABLE, "")), list[tuple[Face, str]]()
    for word in text.split():
        face = fonts.find(word)
        pieces = [(face, word)] if face else [(fonts.find(piece), piece) for piece in _PARTS.findall(word)]
        space = " " if parts else ""
        for font, piece in pieces:
            if font is None:
                return None
            if parts and parts[-1][0] == font:
                parts[-1] = (font, parts[-1][1] + space + piece)
            else:
                parts.append((font, space + piece))
            space = ""
    return parts


@lru_cache(maxsize=64)
def load(face: Face, size: int) -> Font:
    """Return a font at ``size`` pixels. Raises OSError if it cannot be read."""
    return ImageFont.truetype(face.path, size, face.number) if face.path else ImageFont.load_default(size)


class _Fonts:
    """The fonts that were needed so far, and the search for others.

    Args:
        setting: The value of PEM_EDGE_FONT; empty for none.
    """

    def __init__(self, setting: str) -> None:
        if setting and not os.path.exists(setting):  # noqa: PTH110  # Path.exists may raise
            # No error: a training or a stream that draws would end for it.
            expected = "expected a font file or a folder of fonts: it is passed over; name one, or unset it"
            _log.warning("%s is %s, %s", VARIABLE, brief(setting), expected)
            setting = ""
        self._setting = setting
        self._faces = [Face()]
        self._searches: Counter[str] = Counter()
        self._lock = Lock()

    def find(self, text: str) -> Face | None:
        """Return a font that has all characters of ``text``; None if none is found."""
        with self._lock:
            for face in self._faces:
                if face.covers(text):
                    return face
            script = _script(text)
            self._searches[script] += 1
            if self._searches[script] > _MOST_SEARCHES:
                return None
            found = next((face for face in self._candidates(text) if face.covers(text)), None)
            self._faces += [found] if found else []
            return found

    def _candidates(self, text: str) -> Iterator[Face]:
        if self._setting:
            yield from _files(Path(self._setting))
        if shutil.which("fc-match"):
            yield from _ask_fontconfig(text)
        else:
            for folder in _FOLDERS:
                yield from _files(Path(folder).expanduser())


@lru_cache(maxsize=4)
def _fonts(setting: str) -> _Fonts:
    return _Fonts(setting)


def _files(place: Path) -> Iterator[Face]:
    """Yield the font that ``place`` is, or those in that folder, fonts without serifs first."""
    if place.is_file():
        yield Face(str(place))
        return
    every = (
        Path(folder, name) for folder, _, names in os.walk(place) for name in names
    )  # it skips what it cannot read
    found = islice((path for path in every if path.suffix.lower() in _SUFFIXES and path.is_file()), _MOST_FILES)
    for path in sorted(found, key=lambda path: ("sans" not in path.name.lower(), len(path.name), path.name)):
        yield Face(str(path))


def _ask_fontconfig(text: str) -> Iterator[Face]:
    """Yield the font that fontconfig proposes for ``text``, which need not have it."""
    pattern = f"sans-serif:charset={' '.join(f'{ord(character):x}' for character in sorted(set(text)))}"
    command = ["fc-match", "--format", "%{index} %{file}", pattern]
    try:
        answer = subprocess.run(command, capture_output=True, timeout=_SEARCH_SECONDS, check=True).stdout
        number, path = os.fsdecode(answer).split(" ", 1)
        yield Face(path, int(number) & 0xFFFF)  # the upper half is an instance of a variable font
    except (OSError, subprocess.SubprocessError, ValueError):
        return


@lru_cache(maxsize=8192)
def _has(face: Face, character: str) -> bool:
    """Return whether what a font draws for a character is something else than its sign for missing ones."""
    try:
        font = load(face, 16)
        drawn, missing = (font.getmask(each) for each in (character, _NO_CHARACTER))
    except (OSError, ValueError):
        return False
    return character.isspace() or (drawn.size, bytes(drawn)) != (missing.size, bytes(missing))


def _script(text: str) -> str:
    """Return the scripts of the characters, as the first words of their names in Unicode."""
    return " ".join(sorted({unicodedata.name(character, "").split(" ")[0] for character in text}))


def _in_order(text: str) -> bool:
    """Return whether Pillow can arrange the characters: without Raqm it draws Arabic and Hebrew backwards."""
    return features.check("raqm") or all(unicodedata.bidirectional(each) not in ("R", "AL") for each in text)
