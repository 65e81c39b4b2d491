"""What the documents link to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files(document: Path) -> None:
    linked = LINK.findall(document.read_text())
    assert [path for path in linked if not (document.parent / path).exists()] == []


def test_the_readme_has_links_to_look_at() -> None:
    assert len(LINK.findall((ROOT / "README.md").read_text())) > 10
