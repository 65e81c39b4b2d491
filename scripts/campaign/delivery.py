"""Delivers the report of a campaign."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pem_edge.runtime import files


def deliver(report: Mapping[str, object], out: Path | None) -> None:
    """Print ``report`` as JSON and, if ``out`` is given, write it there, too."""
    text = json.dumps(report, indent=1) + "\n"
    if out is not None:
        with files.write_atomically(out) as file:
            file.write_text(text)
    print(text, end="")
