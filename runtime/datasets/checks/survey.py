"""One pass over a dataset, sample by sample, which collects what is wrong instead of ending at it."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from statistics import median

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.checks.doubles import Prints, within
from pem_edge.runtime.datasets.checks.measuring import Measured, measure
from pem_edge.runtime.datasets.checks.schema import ClassCount, DatasetFindings, Fault, FaultKind, Size, Sizes
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.errors import PemError

SMALLEST_THING = 16
"""Area of a thing in pixels below which it is less than a pixel of a predicted mask, which has a quarter of each side.

Training crops images, and enlarges them at most twice."""
_LARGEST_IMAGE = 16_000_000
"""Pixels of an image above which reading it holds up training."""


@dataclass
class _Tally:
    """What was counted of a class. ``areas`` are those of its things that are no crowds."""

    images: int = 0
    segments: int = 0
    pixels: int = 0
    areas: array[int] = field(default_factory=lambda: array("q"))


class Survey:
    """What is known of a dataset's samples; some hundred bytes a sample are kept.

    Args:
        dataset: The dataset.
        indices: The indices of the samples to look at; None for all.

    Attributes:
        labels: The classes.
        prints: What tells the readable images from each other.
        present: The classes that each of the readable images shows.
        readable: The indices of the readable images.
    """

    def __init__(self, dataset: Dataset, indices: Iterable[int] | None = None) -> None:
        self.labels: Sequence[Label] = dataset.labels
        self.prints = Prints()
        self.present: list[tuple[int, ...]] = []
        self.readable: list[int] = []
        self._images = 0
        self._sizes: Counter[Size] = Counter()
        self._tallies = [_Tally() for _ in self.labels]
        self._crowds = 0
        self._faults: list[Fault] = []
        for index in range(len(dataset)) if indices is None else indices:
            self._images += 1
            try:
                measured = measure(dataset[index], self.labels)
            except PemError as error:
                self._faults.append(Fault("broken", index, str(error)))
            else:
                self._add(index, measured)

    def findings(self) -> DatasetFindings:
        """Return what was found."""
        pixels = sum(height * width * count for (height, width), count in self._sizes.items())
        labeled = sum(tally.pixels for tally in self._tallies)
        small = (sum(area < SMALLEST_THING for area in tally.areas) for tally in self._tallies)
        return DatasetFindings(
            images=self._images,
            readable=len(self.readable),
            sizes=_summarize(self._sizes) if self._sizes else None,
            void=_percent(pixels - labeled, pixels),
            crowds=self._crowds,
            tiny=sum(small),
            classes=[_count(*each, pixels) for each in zip(self.labels, self._tallies, strict=True)],
            faults=self._faults,
            doubles=within(self.prints),
        )

    def _add(self, index: int, measured: Measured) -> None:
        self._faults += [Fault(kind, index, message) for kind, message in _flaws(measured)]
        self._sizes[measured.size] += 1
        self.prints.add(measured)
        present = set[int]()
        for segment, area in zip(measured.segments, measured.areas, strict=True):
            if area:
                present.add(segment.category_id)
                tally = self._tallies[segment.category_id]
                tally.segments += 1
                tally.pixels += area
                self._crowds += segment.iscrowd
                if self.labels[segment.category_id].isthing and not segment.iscrowd:
                    tally.areas.append(area)
        for category in present:
            self._tallies[category].images += 1
        self.present.append(tuple(present))
        self.readable.append(index)


def _flaws(measured: Measured) -> Iterator[tuple[FaultKind, str]]:
    """Yield what is wrong with a sample that can be read, and a line that says so."""
    height, width = measured.size
    empty = [segment.id for segment, area in zip(measured.segments, measured.areas, strict=True) if not area]
    if len(empty) == len(measured.segments):
        yield "unlabeled", f"{measured.name} has no labeled pixel, so nothing is learned of it: label it, or remove it"
    elif empty:
        ids = f"id {empty[0]}" if len(empty) == 1 else f"{len(empty)} ids, such as {empty[0]},"
        yield "no pixels", f"{measured.name} lists {ids} of which its map has no pixel: draw it, or remove the entry"
    if height * width > _LARGEST_IMAGE:
        yield (
            "large",
            f"{measured.name} is {height}x{width}, which takes long to read, and a crop shows little of it: scale it "
            "and its map down",
        )


def _count(label: Label, tally: _Tally, pixels: int) -> ClassCount:
    return ClassCount(
        name=label.name,
        isthing=label.isthing,
        images=tally.images,
        segments=tally.segments,
        share=_percent(tally.pixels, pixels),
        median_area=median(tally.areas) if tally.areas else None,
    )


def _summarize(sizes: Counter[Size]) -> Sizes:
    ordered = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    ends = accumulate(sizes[size] for size in ordered)
    middle = next(size for size, end in zip(ordered, ends, strict=True) if 2 * end >= sizes.total())
    return Sizes(smallest=ordered[0], median=middle, largest=ordered[-1], distinct=len(ordered))


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 4) if whole else 0.0
