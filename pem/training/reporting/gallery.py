"""The same few images at each evaluation: a sheet of them in a file, and small ones for the page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path

from pem_edge.pem.training.reporting import pictures
from pem_edge.pem.training.reporting.pictures import Comparison
from pem_edge.runtime.files import remove

MOST_COLUMNS = 8
"""The most evaluations that the page shows pictures of."""

_LONGEST = 256
"""Longer side in pixels of the small pictures."""

_TRUTH = "truth"
_STEP = re.compile(r"step-([0-9]{6,15})")


class Gallery:
    """The pictures of a run: ``pictures/step-000500.png``, and small ones in ``pictures/small/step-000500/1.jpg``.

    Args:
        folder: The folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._sheets = folder / "pictures"
        self._small = self._sheets / "small"

    def add(self, step: int, comparisons: Sequence[Comparison], *facts: str) -> None:
        """Write the pictures of an evaluation, with ``facts`` above the first. Raises OutputError."""
        sheet = [each.beside(*(() if index else facts)) for index, each in enumerate(comparisons)]
        pictures.save(pictures.stack(sheet), self._sheets / f"{_name(step)}.png")
        for number, each in enumerate(comparisons, 1):
            small = each.small(_LONGEST)
            pictures.save(small["prediction"], self._small / _name(step) / f"{number}.jpg")
            pictures.save(small["truth"], self._small / _TRUTH / f"{number}.jpg")

    def columns(self, count: int) -> Mapping[str, list[Path]]:
        """Return the small pictures of ``count`` images, by what they show: "truth", and steps, such as "step 500".

        The first and the latest step are among these.
        """
        steps = thinned(sorted(_steps(path.parent for path in self._small.glob("step-*/1.jpg"))), MOST_COLUMNS)
        folders = {_TRUTH: _TRUTH} | {f"step {step}": _name(step) for step in steps}
        return {
            title: [self._small / folder / f"{number}.jpg" for number in range(1, count + 1)]
            for title, folder in folders.items()
        }

    def truncate(self, step: int) -> None:
        """Delete the pictures of steps after ``step``; with -1, all of them. Raises OutputError."""
        found = _steps([*self._sheets.glob("step-*.png"), *self._small.glob("step-*")])
        later = [each for each in found if each > step]
        remove(path for each in later for path in self._files(each))
        if step < 0:
            remove((self._small / _TRUTH).glob("*.jpg"))

    def _files(self, step: int) -> Iterable[Path]:
        return [self._sheets / f"{_name(step)}.png", *(self._small / _name(step)).glob("*.jpg")]


def thinned(steps: Sequence[int], most: int) -> list[int]:
    """Return at most ``most`` (2 and up) of the steps, evenly spaced, the first and the last among them."""
    if len(steps) <= most:
        return list(steps)
    return [steps[round(index * (len(steps) - 1) / (most - 1))] for index in range(most)]


def _steps(paths: Iterable[Path]) -> Set[int]:
    """Return the steps that pictures or folders are of, by their names."""
    return {int(match[1]) for path in paths if (match := _STEP.fullmatch(path.stem))}


def _name(step: int) -> str:
    return f"step-{step:06d}"
