"""The command lines in the documents."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"^```(.*)\n((?s:.*?))^```$", re.MULTILINE)
_SHELLS = ("", "bash", "sh", "console")
_COMMAND = re.compile(r"(\$ )?[\w.-]+(/[\w-]+)*( |$)|[A-Z_]+=\S+ ")


def commands_of(page: str) -> list[str]:
    """Return the command lines in the blocks of a page, in order, those on several lines joined, without comments."""
    blocks = (block for language, block in _BLOCK.findall((ROOT / page).read_text()) if language in _SHELLS)
    lines = (line for block in blocks for line in block.replace("\\\n", " ").splitlines())
    return [" ".join(line.split("  #")[0].removeprefix("$ ").split()) for line in lines if _COMMAND.match(line)]
