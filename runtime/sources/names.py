"""Names for the outputs of sources: usable on every file system, and different for different images."""

from __future__ import annotations

import hashlib
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


def unique_stems(paths: Sequence[Path]) -> list[str]:
    """Return a usable name for each path, all of them different, also where case does not count.

    It is the path's stem; where stems are equal, the file's name. If these are still not unique, all names begin with
    their folder's, or else with their number.
    """
    stems, names = [usable(path.stem) for path in paths], [usable(path.name) for path in paths]
    counts = Counter(stem.casefold() for stem in stems)
    choices = (
        [stem if counts[stem.casefold()] == 1 else name for stem, name in zip(stems, names, strict=True)],
        names,
        [usable(f"{path.parent.name}_{path.name}") for path in paths],
    )
    numbered = [f"{number:06d}_{name}" for number, name in enumerate(names)]
    return next((each for each in choices if len({name.casefold() for name in each}) == len(each)), numbered)
