"""Made-up trees of files, such as another machine's /proc and /sys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def put(root: Path, files: Mapping[str, str]) -> Path:
    """Write ``files``, their texts by their paths within ``root``, and return ``root``."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root
