"""What is killed: a command, the files that it must never spoil, and how to tell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pem_edge.runtime.files import locks


@dataclass(frozen=True)
class Inputs:
    """What all commands work on: a small ONNX artifact, a short video, and a folder for traced graphs."""

    onnx: Path
    clip: Path
    graphs: Path


class Subject(ABC):
    """A command that is run into ``out`` again and again.

    Attributes:
        name: The name in the report.
        command: The command, such as "pem-run".
        share: The share of the kills that it gets.
        needs: The package without which it cannot run; None if there is none.
    """

    name: str
    command: str
    share: float
    needs: str | None = None

    def __init__(self, folder: Path, inputs: Inputs) -> None:
        self.folder, self.inputs, self.out = folder, inputs, folder / "out"
        self._there: set[Path] = set()

    @abstractmethod
    def arguments(self) -> list[str]:
        """Prepare the next run, and return its arguments."""

    @abstractmethod
    def expected(self) -> set[str]:
        """Return the names of the files that a complete run leaves in ``out``."""

    @abstractmethod
    def damages(self) -> Iterator[str]:
        """Yield what is wrong with the files that are there now."""

    def faults(self) -> list[str]:
        """Return what a killed run has spoiled: files that are damaged, mixed, half written, or gone."""
        there = {path for path in self.out.rglob("*") if path.is_file() and not _is_hidden(path)}
        lost = [f"lost: {path.relative_to(self.folder)}" for path in sorted(self._there - there)]
        self._there = there
        return [*lost, *self.damages()]

    def faults_at_end(self) -> list[str]:
        """Return what a complete run has spoiled or left undone."""
        names = {path.relative_to(self.out).as_posix() for path in self.out.rglob("*") if path.is_file()}
        missing = [f"lost: {name} after a complete run" for name in sorted(self.expected() - names)]
        left = [path for path in self.folder.rglob(f"{locks.PREFIX}*") if path.exists()]
        extra = [self.out / name for name in names - self.expected()]
        return [*missing, *(f"leftover: {path.relative_to(self.folder)}" for path in {*left, *extra}), *self.faults()]


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")
