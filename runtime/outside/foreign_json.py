"""Decoding JSON that others wrote, as forgivingly as its content stays clear."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from types import UnionType
from typing import TypeVar

import msgspec

from pem_edge.runtime.errors import PemError
from pem_edge.runtime.outside.reading import reading

Content = TypeVar("Content")


def decode(
    data: bytes,
    content: type[Content] | UnionType,
    source: str | Path,
    error: type[PemError],
    *,
    expected: str,
    cure: str,
) -> Content:
    """Decode a JSON document into ``content``.

    Besides plain JSON it may have a byte order mark, be UTF-16 or UTF-32, as Windows tools write it, and have NaN and
    Infinity, as Python and pandas do; these count as null.

    Args:
        data: The document.
        content: The type that msgspec decodes it into. What the type does not name is skipped.
        source: The file, or a name for it in messages.
        error: The type of the error.
        expected: What the document should be, see `reading`.
        cure: The advice at the end of the message.

    Raises:
        PemError: If the document is damaged, or other than ``content``. The type is ``error``.
    """
    with reading(source, error, expected=expected, cure=cure):
        document: Content
        try:
            document = msgspec.json.decode(data.removeprefix(codecs.BOM_UTF8), type=content)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:  # Python's own reader takes more, if slowly
            document = msgspec.json.decode(msgspec.json.encode(json.loads(data)), type=content)
        return document
