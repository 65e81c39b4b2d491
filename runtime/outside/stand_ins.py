"""Telling what often stands in the place of a file that was to be fetched: a web page, or a pointer of Git LFS."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

HEAD = 512
"""Number of bytes at the beginning of a file that show what stands in its place."""

_COMMENT = rb"<!--([^-]|-(?!->))*-->"  # ends at the first -->, so that there is one way to read several of them
_XML = rb"<\?xml\s[^>]*>"
_WEB_PAGE = re.compile(
    rb"(\xef\xbb\xbf)?\s*(%b\s*)?(%b\s*)*<(!doctype\s+html|html)\b" % (_XML, _COMMENT), re.IGNORECASE
)

_POINTER = b"version https://git-lfs.github.com/spec/"
"""First bytes of what Git LFS leaves in place of a file that it has not fetched."""


def recognize(head: bytes, expected: str) -> str | None:
    """Return a message on what stands in a file's place, without its name; None if nothing that is known does.

    Args:
        head: The first bytes of the file, `HEAD` if it has as many.
        expected: What it should be, such as "an image".
    """
    if head.startswith(_POINTER):
        return f"only stands for a file in Git LFS, expected {expected}: git lfs pull"
    if _WEB_PAGE.match(head):
        return f"is a web page (HTML), expected {expected}: download the file itself, to which the page may link"
    return None


def recognize_file(path: str | Path, expected: str) -> str | None:
    """Return what `recognize` does for a file; None also if ``path`` is none, or cannot be read."""
    with suppress(OSError, ValueError):  # a name that is no path may hold anything
        if Path(path).is_file():
            with Path(path).open("rb") as file:
                return recognize(file.read(HEAD), expected)
    return None
