"""The findings of a check, as ``pem-data check --json`` prints them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

Size: TypeAlias = tuple[int, int]
"""Height and width in pixels."""

FaultKind: TypeAlias = Literal["broken", "unlabeled", "no pixels", "large"]
"""What is wrong with a sample. Only one that is broken keeps a training from running."""

DoubleKind: TypeAlias = Literal["same", "labels differ", "similar"]
"""How an image is like another one: the same pixels, or those with other labels, or one that looks alike."""


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes of the images: those of the fewest, the median and the most pixels, and how many there are."""

    smallest: Size
    median: Size
    largest: Size
    distinct: int


class ClassCount(msgspec.Struct, frozen=True, kw_only=True):
    """How often a class occurs.

    Attributes:
        name: The name.
        isthing: Whether it is a thing.
        images: The number of images that show it.
        segments: The number of its segments that have pixels, crowds included.
        share: Its share of all pixels, in percent.
        median_area: The median area of its segments in pixels, crowds excluded; None for stuff, or if there are none.
    """

    name: str
    isthing: bool
    images: int
    segments: int
    share: float
    median_area: float | None


class Fault(msgspec.Struct, frozen=True):
    """Something that is wrong with a sample.

    Attributes:
        kind: What is wrong.
        index: The sample's index in the dataset.
        message: One line: the file, what was found, and the cure.
    """

    kind: FaultKind
    index: int
    message: str


class Double(msgspec.Struct, frozen=True):
    """An image that is like another one.

    Attributes:
        kind: How it is like that.
        image: Its name.
        like: The name of the other one, which comes before it in the dataset or is in the training set.
        bits: In how many of 64 bits their perceptual hashes differ.
    """

    kind: DoubleKind
    image: str
    like: str
    bits: int


class DatasetFindings(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a dataset.

    Attributes:
        images: The number of images.
        readable: How many of them could be read; all that follows is of these.
        sizes: Their sizes; None if none could be read.
        void: The share of pixels without a class, in percent.
        crowds: The number of segments that are groups of things.
        tiny: The number of things that are too small to be learned at the images' own size.
        classes: The classes, in the order of their indices.
        faults: What is wrong with single samples, in their order.
        doubles: The images that are like an earlier one.
    """

    images: int
    readable: int
    sizes: Sizes | None
    void: float
    crowds: int
    tiny: int
    classes: Sequence[ClassCount]
    faults: Sequence[Fault]
    doubles: Sequence[Double]

    def of_kind(self, kind: FaultKind) -> list[Fault]:
        """Return the faults of a kind."""
        return [fault for fault in self.faults if fault.kind == kind]


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a training set and, if there is one, in its validation set.

    Attributes:
        train: The training set.
        val: The validation set.
        shared: The images of the validation set that are like one of the training set.
        warnings: What does not keep a training from running, but should be known; one line each.
    """

    train: DatasetFindings
    val: DatasetFindings | None
    shared: Sequence[Double]
    warnings: Sequence[str]
