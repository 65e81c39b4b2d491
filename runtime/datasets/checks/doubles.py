"""Images that are the same as others, or look like them, within a dataset and between two."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from pem_edge.runtime.datasets.checks import twins
from pem_edge.runtime.datasets.checks.measuring import Measured
from pem_edge.runtime.datasets.checks.schema import Double


class Prints:
    """What tells images from each other, in their order: names, digests of pixels and of labels, perceptual hashes."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.pixels: list[bytes] = []
        self.truths: list[bytes] = []
        self.looks = array("Q")

    def __len__(self) -> int:
        return len(self.names)

    def add(self, measured: Measured) -> None:
        """Add an image."""
        self.names.append(measured.name)
        self.pixels.append(measured.pixels)
        self.truths.append(measured.truth)
        self.looks.append(measured.look)


def within(prints: Prints) -> list[Double]:
    """Return the images of a dataset that are like an earlier one, each once."""
    search, found = _Search(prints, twins.neighbors(prints.looks)), list[Double]()
    for index in range(len(prints)):
        found += search.doubles_of(prints, index)
        search.remember(index)
    return found


def between(train: Prints, val: Prints) -> list[Double]:
    """Return the images of ``val`` that are like one of ``train``, each once."""
    search = _Search(train, twins.neighbors(train.looks + val.looks))
    for index in range(len(train)):
        search.remember(index)
    return [double for index in range(len(val)) for double in search.doubles_of(val, index)]


class _Search:
    """Finds the doubles of an image among those images of ``known`` that it was told to remember."""

    def __init__(self, known: Prints, near: twins.Neighbors) -> None:
        self._known, self._near = known, near
        self._by_pixels: dict[bytes, int] = {}
        self._by_look: dict[int, int] = {}

    def remember(self, index: int) -> None:
        self._by_pixels.setdefault(self._known.pixels[index], index)
        if twins.is_telling(self._known.looks[index]):
            self._by_look.setdefault(self._known.looks[index], index)

    def doubles_of(self, prints: Prints, index: int) -> Iterator[Double]:
        """Yield the image's double, if it has any: the same image, or else the one that looks most like it."""
        name, look = prints.names[index], prints.looks[index]
        same = self._by_pixels.get(prints.pixels[index])
        if same is not None:
            differ = prints.truths[index] != self._known.truths[same]
            yield Double("labels differ" if differ else "same", name, self._known.names[same], 0)
            return
        alike = ((bits, other) for bits, other in [(0, look), *self._near.get(look, ())] if other in self._by_look)
        for bits, other in sorted(alike)[:1]:
            yield Double("similar", name, self._known.names[self._by_look[other]], bits)
