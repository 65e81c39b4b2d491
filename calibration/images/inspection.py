"""Summarizes calibration images, and warns about unsuitable sets of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.plurals import plural

MEAN = np.array([123.675, 116.280, 103.530])
"""Mean of red, green and blue, 0 to 255, in ImageNet, which every variant of the model normalizes with."""

STD = np.array([58.395, 57.120, 57.375])
"""Standard deviation of red, green and blue, 0 to 255, in ImageNet."""

FEW = 32
"""Number of images below which the ranges depend too much on the choice of images."""

_NEAR = 3
"""Maximum number of bits, out of 64, in which the hashes of near duplicates differ."""

_FAR = 1.2
"""Maximum distance of a set's mean color from `MEAN`, in units of `STD`. That of Cityscapes, which is dark, is 0.9."""

_FLAT = 0.4
"""Minimum mean standard deviation of a set's images, in units of `STD`."""


@dataclass(frozen=True)
class ImageSummary:
    """The properties of an image by which calibration images are picked and checked.

    Attributes:
        index: Its position in the source.
        digest: The SHA-256 of its pixels after fitting to the model's input, in hexadecimal.
        similarity: A perceptual hash of 64 bits, few of which differ between similar images.
        mean: The mean of red, green and blue.
        std: The standard deviation of red, green and blue.
        classes: The indices of the classes in it; None if there are no labels.
    """

    index: int
    digest: str
    similarity: np.uint64
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    classes: frozenset[int] | None

    @property
    def brightness(self) -> float:
        """The mean over all pixels and channels, 0 to 255."""
        return float(self.mean.mean())


def summarize(
    index: int, fitted: NDArray[np.uint8], size: tuple[int, int], classes: frozenset[int] | None
) -> ImageSummary:
    """Summarize an image.

    Args:
        index: The image's position in the source.
        fitted: The image after fitting to the model's input, RGB uint8 (H, W, 3).
        size: The height and width of the top left part that is not padding.
        classes: The indices of the classes in the image; None if there are no labels.
    """
    image = fitted[: size[0], : size[1]]
    mean, std = cv2.meanStdDev(image)
    digest = hashlib.sha256(fitted.tobytes()).hexdigest()
    mean, std = np.asarray(mean, np.float64).ravel(), np.asarray(std, np.float64).ravel()
    return ImageSummary(index, digest, _difference_hash(image), mean, std, classes)


def findings(
    summaries: Sequence[ImageSummary], picked: Sequence[ImageSummary], labels: Sequence[Label] | None
) -> list[str]:
    """Return warnings about a set of calibration images, one line each.

    Args:
        summaries: All images that were inspected.
        picked: The images that were picked from them.
        labels: The classes of the dataset, which the picked images should cover; None if there are no labels.
    """
    remarks = [
        _warn_of_duplicates(summaries),
        _warn_of_near_duplicates(picked),
        _warn_of_small_set(picked),
        _warn_of_domain(picked),
        _warn_of_contrast(picked),
    ]
    if labels is not None:
        remarks.append(_warn_of_missing_classes(picked, labels))
    return [remark for remark in remarks if remark]


def _difference_hash(image: NDArray[np.uint8]) -> np.uint64:
    """Return a perceptual hash: whether each pixel is brighter than its left neighbor, in 8 rows of 9 gray pixels."""
    gray = cv2.cvtColor(cv2.resize(image, (9, 8), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    bits = np.diff(gray.astype(np.int16), axis=1) > 0
    return np.packbits(bits).view(np.uint64)[0]  # type: ignore[no-any-return]


def _warn_of_duplicates(summaries: Sequence[ImageSummary]) -> str:
    copies = len(summaries) - len({each.digest for each in summaries})
    return f"{copies} of {len(summaries)} images are copies of others and left out" if copies else ""


def _warn_of_near_duplicates(picked: Sequence[ImageSummary]) -> str:
    near = sum(any(True for _ in _find_near_duplicates(picked, number)) for number in range(len(picked)))
    return (
        f"{near} of {len(picked)} images look nearly like another one: more variety gives better ranges" if near else ""
    )


def _find_near_duplicates(picked: Sequence[ImageSummary], number: int) -> Iterator[int]:
    """Yield the numbers of the images before image ``number`` that look nearly like it."""
    mine = int(picked[number].similarity)
    for other in range(number):
        if (mine ^ int(picked[other].similarity)).bit_count() <= _NEAR:
            yield other


def _warn_of_small_set(picked: Sequence[ImageSummary]) -> str:
    few = plural(len(picked), "image")
    return f"only {few}: {FEW} or more make ranges that hold for others" if len(picked) < FEW else ""


def _warn_of_domain(picked: Sequence[ImageSummary]) -> str:
    mean = np.mean([each.mean for each in picked], axis=0)
    if np.abs((mean - MEAN) / STD).max() <= _FAR:
        return ""
    return (
        f"the images' mean color is {_format_rgb(mean)}, training's {_format_rgb(MEAN)}: are they what the model will "
        "see? Ranges from another domain cost accuracy"
    )


def _warn_of_contrast(picked: Sequence[ImageSummary]) -> str:
    std = np.mean([each.std for each in picked], axis=0)
    if (std / STD).max() >= _FLAT:
        return ""
    return (
        f"the images have little contrast, {_format_rgb(std)}, training {_format_rgb(STD)}: are they what the model "
        "will see?"
    )


def _format_rgb(values: NDArray[np.float64]) -> str:
    return "(" + ", ".join(f"{value:.0f}" for value in values) + ")"


def _warn_of_missing_classes(picked: Sequence[ImageSummary], labels: Sequence[Label]) -> str:
    seen = frozenset().union(*(each.classes or frozenset() for each in picked))
    missing = [label.name for number, label in enumerate(labels) if number not in seen]
    if not missing:
        return ""
    names = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
    return f"{len(missing)} of {len(labels)} classes are in no image: {names}"
