"""The folders that are written: caches, temporary files, results; and the room on their disks."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from pem_edge.runtime.diagnosis.probing import Probe
from pem_edge.runtime.diagnosis.schema import Finding, Findings
from pem_edge.runtime.files import cache_folder

_LITTLE = 1 << 30
_SECONDS = 2.0
"""Time to add up the sizes of files; what is found until then counts as "more than"."""


def _cache() -> Findings:
    cure = "set XDG_CACHE_HOME to a folder that can be written; without one, everything works, but starts slower"
    return {"cache": _folder("cache", cache_folder(), cure, sized=True)}


def _hub() -> Findings:
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    cure = "set HF_HOME to a folder that can be written, to fetch models by name"
    return {"hub": _folder("models of the Hugging Face hub", home, cure, sized=True)}


def _temporary() -> Findings:
    try:
        folder = Path(tempfile.gettempdir())
    except OSError as error:
        value, cure = f"there is none ({error.strerror})", "set TMPDIR to a folder that can be written"
        return {"temporary": Finding(name="temporary files", value=value, status="warning", cure=cure)}
    return {"temporary": _folder("temporary files", folder, "set TMPDIR to another folder")}


def _here() -> Findings:
    return {"here": _folder("current folder", Path.cwd(), "give commands another folder with -o")}


def _folder(name: str, folder: Path, cure: str, *, sized: bool = False) -> Finding:
    """Return a folder's place, its size if ``sized``, whether it can be written, and the room on its disk."""
    existing = next((each for each in (folder, *folder.parents) if each.is_dir()), None)
    if existing is None or not os.access(existing, os.W_OK | os.X_OK):
        return Finding(name=name, value=f"{folder} cannot be written", status="warning", cure=cure)
    free = shutil.disk_usage(existing).free
    state = f", {_size(folder)}" if sized and existing == folder else ", not there yet" if existing != folder else ""
    value = f"{folder}{state}; {_units(free)} free on its disk"
    if free < _LITTLE:
        return Finding(name=name, value=value, status="warning", cure=f"free some space, or {cure}")
    return Finding(name=name, value=value, status="ok")


def _size(folder: Path) -> str:
    total, deadline = 0, time.monotonic() + _SECONDS
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            total += 0 if path.is_symlink() or not path.exists() else path.stat().st_size
        if time.monotonic() > deadline:
            return f"more than {_units(total)}"
    return _units(total)


def _units(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


PROBES: Mapping[str, Probe] = {"cache": _cache, "hub": _hub, "temporary": _temporary, "here": _here}
