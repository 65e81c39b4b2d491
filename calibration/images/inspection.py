"""Summarizes calibration images, and finds what is wrong with a set of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.labels import Label

MEAN = np.array([123.675, 116.280, 103.530])
STD = np.array([58.395, 57.120, 57.375])
"""Of the red, green and blue values, 0 to 255, that every variant normalizes with."""

FEW = 32
"""Number of images below which ranges depend on the choice of images."""

_NEAR = 3
"""Maximum number of bits, of 64, in which the hashes of near duplicates differ."""

_FAR = 1.2
"""Maximum distance of a set's mean from `MEAN`, in units of `STD`; Cityscapes, which is dark, is at 0.9."""

_FLAT = 0.4
"""Minimum contrast of a set, in units of `STD`."""


@dataclass(frozen=True)
class ImageSummary:
    """A summary of an image.

    Attributes:
        index: Its position in the source.
        digest: The hex SHA-256 of its fitted pixels.
        similarity: A perceptual hash, which is nearly equal for similar images.
        mean: The mean of red, green and blue.
        std: The standard deviation of red, green and blue.
        classes: The classes in it; None where there are no labels.
    """

    index: int
    digest: str
    similarity: np.uint64
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    classes: frozenset[int] | None

    @property
    def brightness(self) -> float:
        """The mean of all values, 0 to 255."""
        return float(self.mean.mean())


def look(index: int, fitted: NDArray[np.uint8], size: tuple[int, int], classes: frozenset[int] | None) -> ImageSummary:
    """Return what an image, uint8 (H, W, 3), looks like, whose top left ``size`` is not padding."""
    picture = fitted[: size[0], : size[1]]
    mean, std = cv2.meanStdDev(picture)
    digest = hashlib.sha256(fitted.tobytes()).hexdigest()
    mean, std = np.asarray(mean, np.float64).ravel(), np.asarray(std, np.float64).ravel()
    return ImageSummary(index, digest, _difference_hash(picture), mean, std, classes)


def findings(
    looks: Sequence[ImageSummary], picked: Sequence[ImageSummary], labels: Sequence[Label] | None
) -> list[str]:
    """Return remarks on a set of images and on those ``picked`` from it, a line each."""
    remarks = [_duplicates(looks), _near_duplicates(picked), _few(picked), _domain(picked), _contrast(picked)]
    if labels is not None:
        remarks.append(_uncovered(picked, labels))
    return [remark for remark in remarks if remark]


def _difference_hash(picture: NDArray[np.uint8]) -> np.uint64:
    """Return which of 8 x 9 gray pixels are brighter than their left neighbors: 64 bits."""
    gray = cv2.cvtColor(cv2.resize(picture, (9, 8), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    bits = np.diff(gray.astype(np.int16), axis=1) > 0
    return np.packbits(bits).view(np.uint64)[0]  # type: ignore[no-any-return]


def _duplicates(looks: Sequence[ImageSummary]) -> str:
    copies = len(looks) - len({each.digest for each in looks})
    return f"{copies} of {len(looks)} images are copies of others and left out" if copies else ""


def _near_duplicates(picked: Sequence[ImageSummary]) -> str:
    near = sum(any(True for _ in _near(picked, number)) for number in range(len(picked)))
    return (
        f"{near} of {len(picked)} images look nearly like another one: more variety gives better ranges" if near else ""
    )


def _near(picked: Sequence[ImageSummary], number: int) -> Iterator[int]:
    """Yield the images before ``number`` that look like it."""
    mine = int(picked[number].similarity)
    for other in range(number):
        if (mine ^ int(picked[other].similarity)).bit_count() <= _NEAR:
            yield other


def _few(picked: Sequence[ImageSummary]) -> str:
    return f"only {len(picked)} images: {FEW} or more make ranges that hold for others" if len(picked) < FEW else ""


def _domain(picked: Sequence[ImageSummary]) -> str:
    mean = np.mean([each.mean for each in picked], axis=0)
    if np.abs((mean - MEAN) / STD).max() <= _FAR:
        return ""
    return (
        f"the images' mean color is {_rgb(mean)}, training's {_rgb(MEAN)}: are they what the model will see? "
        "Ranges from another domain cost accuracy"
    )


def _contrast(picked: Sequence[ImageSummary]) -> str:
    std = np.mean([each.std for each in picked], axis=0)
    if (std / STD).max() >= _FLAT:
        return ""
    return f"the images have little contrast, {_rgb(std)}, training {_rgb(STD)}: are they what the model will see?"


def _rgb(values: NDArray[np.float64]) -> str:
    return "(" + ", ".join(f"{value:.0f}" for value in values) + ")"


def _uncovered(picked: Sequence[ImageSummary], labels: Sequence[Label]) -> str:
    seen = frozenset().union(*(each.classes or frozenset() for each in picked))
    missing = [label.name for number, label in enumerate(labels) if number not in seen]
    if not missing:
        return ""
    names = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
    return f"{len(missing)} of {len(labels)} classes are in no image: {names}"
