"""The user's list of files to trust.

A manifest has the hash of its model, but whoever can write one can write both. A list of hashes that the user keeps
elsewhere tells which models and plugins may be loaded at all.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from pem_edge.runtime.errors import PemError
from pem_edge.runtime.outside.reading import read_bytes

VARIABLE = "PEM_EDGE_TRUSTED"
"""Environment variable: a file of SHA-256 hashes as ``sha256sum`` prints them, one line for each trusted file."""

_LIMIT = 10_000_000
_HASH = re.compile(r"[0-9a-f]{64}")


def require_trusted(path: Path, sha256: str, error: type[PemError]) -> None:
    """Raise ``error`` if the user has a list of trusted files and ``sha256`` is not in it.

    Args:
        path: The file that is about to be loaded, for the message.
        sha256: The hexadecimal hash of the bytes that are about to be loaded.
        error: The type of the error.
    """
    listed = os.environ.get(VARIABLE)
    if not listed:
        return
    data = read_bytes(Path(listed), error, limit=_LIMIT, expected="a list of hashes", cure=f"correct {VARIABLE}")
    hashes = _hashes(data.decode("utf-8-sig", errors="replace"))
    if not all(_HASH.fullmatch(each) for each in hashes):
        raise error(f"{listed} has a line that does not begin with a SHA-256: write it with sha256sum FILE >> {listed}")
    if sha256 not in hashes:
        raise error(
            f"{path} (SHA-256 {sha256[:12]}…) is not in {listed}, the list of files to trust: if you trust it, "
            f"sha256sum {path} >> {listed}"
        )


def _hashes(text: str) -> set[str]:
    """Return the first words of a list's lines. ``sha256sum`` puts a backslash before those of files with odd names.

    Only a line feed ends a line: names of files may have every other separator in them.
    """
    lines = (line.split() for line in text.split("\n") if not line.startswith("#"))
    return {words[0].lower().removeprefix("\\") for words in lines if words}
