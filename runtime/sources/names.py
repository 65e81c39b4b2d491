"""Names for the outputs of sources: usable on every file system, and different for different images."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pem_edge.runtime.outside.printable import printable

_MAX_BYTES, _KEPT_BYTES = 200, 180
"""Longest name, to which suffixes are added (file systems allow 255 bytes), and what is kept of a longer one."""


def usable(name: str) -> str:
    r"""Return a name that can be printed, and that leaves room for suffixes.

    Control characters and bytes that are not UTF-8 are written with a percent sign, such as ``%udce9``. The end of a
    long name is replaced by a hash of the whole.
    """
    shown = "".join(each if each.isprintable() else printable(each).replace("\\", "%") for each in name)
    encoded = shown.encode()
    if len(encoded) <= _MAX_BYTES:
        return shown
    return f"{encoded[:_KEPT_BYTES].decode(errors='ignore')}-{hashlib.sha256(encoded).hexdigest()[:8]}"


def unique_stems(names: Sequence[str]) -> dict[str, str]:
    """Return a usable name for the outputs of each of the files ``names``, all different whatever the case.

    It is the file's stem; where stems are equal, the file's name. If these are still not unique, all begin with the
    folders in which they are, as far as these differ, or else with their number.
    """
    distinct = list(dict.fromkeys(names))
    paths = [Path(name) for name in distinct]
    stems, files = [usable(path.stem) for path in paths], [usable(path.name) for path in paths]
    counts = Counter(stem.casefold() for stem in stems)
    choices = (
        [stem if counts[stem.casefold()] == 1 else name for stem, name in zip(stems, files, strict=True)],
        files,
        _with_folders(paths),
    )
    numbered = [f"{number:06d}_{name}" for number, name in enumerate(files)]
    chosen = next((each for each in choices if len({name.casefold() for name in each}) == len(each)), numbered)
    return dict(zip(distinct, chosen, strict=True))


def _with_folders(paths: Sequence[Path]) -> list[str]:
    """Return each path from the folder that all have in common, as one name."""
    absolute = [path.absolute() for path in paths]
    shared = len(Path(os.path.commonpath([path.parent for path in absolute])).parts) if paths else 0
    return [usable("_".join(path.parts[shared:])) for path in absolute]
