"""The report of a check, on disk after every row, so that a kill at any moment leaves what was found until then."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from pem_edge.runtime.files import write_atomically
from scripts.gpu.reporting import page

State = Literal["not asked for", "not reached", "running", "skipped", "done"]


class Report:
    """What is known of all sections, as gpu_check.json and gpu_check.md in a folder.

    Args:
        folder: The folder, which is made if it is not there.
        facts: What was measured, when and on what.
        sections: The names of all sections, in order.
        chosen: The names of those that will run.
    """

    def __init__(self, folder: Path, facts: dict[str, Any], sections: Iterable[str], chosen: Iterable[str]) -> None:
        self._folder, asked = folder, set(chosen)
        self._contents = {
            **facts,
            "sections": {name: _blank("not reached" if name in asked else "not asked for") for name in sections},
        }
        self.write()

    @property
    def page(self) -> Path:
        """Where the page is."""
        return self._folder / "gpu_check.md"

    def write(self) -> None:
        """Replace both files, each at once."""
        for path, text in (
            (self._folder / "gpu_check.json", json.dumps(self._contents, indent=2) + "\n"),
            (self.page, page.render(self._contents)),
        ):
            with write_atomically(path) as temporary:
                temporary.write_text(text)

    def begin(self, section: str) -> Findings:
        """Return where a section, which begins now, puts what it finds."""
        return Findings(self._contents["sections"][section], self.write)

    def failures(self) -> list[str]:
        """Return a line about each thing that is wrong."""
        sections = self._contents["sections"].items()
        return [f"{name}: {line}" for name, section in sections for line in section["failed"]]

    def skipped(self) -> list[str]:
        """Return the names of the sections that were left out because packages are missing."""
        return [name for name, section in self._contents["sections"].items() if section["state"] == "skipped"]


class Findings:
    """A section's part of the report; every change is written."""

    def __init__(self, section: dict[str, Any], write: Callable[[], None]) -> None:
        self._section, self._write = section, write
        self.end("running")

    def add(self, table: str, row: dict[str, Any]) -> None:
        """Add a row, whose "failed" says what is wrong with it, if anything is."""
        self._section["tables"].setdefault(table, []).append(row)
        if "failed" in row:
            name = " ".join(str(value) for value in row.values() if isinstance(value, str) and value != row["failed"])
            self._section["failed"].append(f"{table}: {name}: {row['failed']}")
        self._write()

    def miss(self, name: str) -> None:
        """Note that there was no time for something."""
        self._section["not reached"].append(name)
        self._write()

    def fail(self, reason: str) -> None:
        """End the section because of an error."""
        self._section["failed"].append(reason)
        self.end("done")

    def end(self, state: State, reason: str = "") -> None:
        """Say how the section stands."""
        self._section |= {"state": state, "reason": reason}
        self._write()


def _blank(state: State) -> dict[str, Any]:
    return {"state": state, "reason": "", "failed": [], "not reached": [], "tables": {}}
