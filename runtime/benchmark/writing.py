"""Reports as files, by the suffix of their names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pem_edge.runtime import files
from pem_edge.runtime.benchmark.comparison import changes_text
from pem_edge.runtime.benchmark.comparison.changes import Changes
from pem_edge.runtime.benchmark.report import markdown
from pem_edge.runtime.benchmark.report.html import page
from pem_edge.runtime.benchmark.schema import Report
from pem_edge.runtime.errors import OutputError

_Content = TypeVar("_Content")
Writers = Mapping[str, Callable[[_Content], str]]

REPORTS: Writers[Report] = {
    ".html": page.report,
    ".md": markdown.report,
    ".json": lambda report: report.to_json().decode(),
}
CHANGES: Writers[Changes] = {".md": changes_text.pull_request, ".json": lambda changes: changes.to_json().decode()}


def write(content: _Content, writers: Writers[_Content], paths: Sequence[Path]) -> Iterator[str]:
    """Write ``content`` to every path in the form of its suffix; yields the errors of those that cannot be written."""
    for path in paths:
        text = writers[path.suffix.lower()](content)
        try:
            with files.write_atomically(path, durable=True) as temporary:
                temporary.write_text(text, "utf-8")
        except OutputError as error:
            yield str(error)
