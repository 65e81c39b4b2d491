"""The names of classes as they can be drawn. They come from foreign files and have any characters."""

from __future__ import annotations

import unicodedata

from pem_edge.runtime.results.drawing import fonts

_WIDTH, _MARKS = 24, 2
"""Most columns of a name, of which a Chinese character takes two, and most combining marks on a character."""
_LATIN = str.maketrans({"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
                        "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th"})  # fmt: skip


def shown(name: str, index: int) -> str:
    """Return the name of class ``index`` as it is drawn: one line, its first synonym, shortened to 24 columns.

    What no font has is left out if it is a symbol, and written in ASCII if it is Latin; else it is called "class 7".
    """
    tidy = _tidy(next((part for part in name.split(",") if part.strip()), ""))
    for text in (tidy, _plain(tidy)):
        if text and fonts.split(text) is not None:
            return text
    return f"class {index}"


def _tidy(text: str) -> str:
    """Return ``text`` on one line without what controls its layout, and shortened."""
    kept, width, marks = "", 0, 0
    for character in unicodedata.normalize("NFC", text[: 64 * _WIDTH]):
        kind = unicodedata.category(character)
        marks = marks + 1 if kind.startswith("M") else 0
        space = character.isspace()
        if marks > _MARKS or (kind.startswith("C") and not space) or (space and kept[-1:] in ("", " ")):
            continue
        kept += " " if space else character
        width += 0 if marks else 1 + (unicodedata.east_asian_width(character) in "WF")
        if width > _WIDTH:
            return f"{kept[:-2].rstrip()}…"
    return kept.rstrip()


def _plain(text: str) -> str:
    """Return ``text`` with Latin letters in ASCII, and without symbols that are not."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_LATIN))
    kept = (each for each in decomposed if each.isascii() or unicodedata.category(each)[0] not in "MSP")
    return " ".join("".join(kept).split())
