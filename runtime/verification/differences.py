"""Differences between outputs, and the limits that they must meet.

PEM's cross-attention picks, per head and query, the one pixel of highest similarity. Where two similarities are equal
to within rounding, two correct implementations may pick different pixels, and the outputs for that image then differ
visibly though neither is wrong. This happens on about one image in eight. A check therefore passes if most images are
within the tolerance and the segmentations of all images agree nearly everywhere; a real fault fails on every image.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.provenance import Difference, Parity, Tolerance, TypicalDifference, WorstDifference
from pem_edge.runtime.inference.postprocess.classes import probabilities, sigmoid

Outputs = tuple[NDArray[np.floating], NDArray[np.floating]]
"""Class logits (N, Q, K + 1) and mask logits (N, Q, H/4, W/4)."""

TOLERANCES = {
    "fp32": Tolerance(tie=1e-3),
    "fp16": Tolerance(logits=0.5, masks=2.0, agreement=0.95, tie=0.02),
    "int8": Tolerance(logits=4.0, masks=30.0, agreement=0.85, tie=0.02),
}
"""The tolerance by precision. A logit that moves by 1e-3 moves a probability by up to a thousandth. Half precision
rounds a mask logit of 512 by up to 0.25, which does no harm because only logits near 0 decide anything, and it makes
ties between similarities more frequent. Where values are quantized, rounding moves some of them by a whole step: the
demo model with the rest in half instead of single precision differs by up to 2.2 in class logits and 16 in mask logits,
and 88.9 % of an image's pixels agree."""


def judge(images: Sequence[Difference], tolerance: Tolerance) -> Parity:
    """Summarize the differences of all images, and decide whether the check passes.

    It passes if most images are within the tolerance and the agreement of every image reaches its minimum.
    """
    within = sum(is_within(image, tolerance) for image in images)
    min_agreement = min(image.agreement for image in images)
    return Parity(
        passed=2 * within > len(images) and min_agreement >= tolerance.agreement,
        images=len(images),
        within_tolerance=within,
        tolerance=tolerance,
        median=TypicalDifference(
            logits=statistics.median(image.logits for image in images),
            masks=statistics.median(image.masks for image in images),
        ),
        worst=WorstDifference(
            logits=max(image.logits for image in images),
            masks=max(image.masks for image in images),
            agreement=min_agreement,
        ),
        each=tuple(images),
    )


def is_within(image: Difference, tolerance: Tolerance) -> bool:
    """Return whether the logits and masks of an image are within the tolerance."""
    return image.logits <= tolerance.logits and image.masks <= tolerance.masks


def compare(found: Outputs, expected: Outputs, size: str, tie: float = 0.0) -> Difference:
    """Return how the outputs of a backend differ from the expected outputs.

    A pixel agrees if, by the expected outputs, what the found ones say of it is right: the query that wins it, that
    query's class or that it is no object, and whether it is inside the query's mask.

    Args:
        found: The outputs of the backend.
        expected: The expected outputs.
        size: The size of the images, "HxW", for the report.
        tie: The fraction by which scores and probabilities may be below the highest and still count as tied with it.
    """
    logits, masks = (float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True))
    return Difference(size, _to_finite(logits), _to_finite(masks), float(np.mean(_agree(found, expected, tie))))


def _agree(found: Outputs, expected: Outputs, tie: float) -> NDArray[np.bool_]:
    """Return whether pixels agree, (N, H/4, W/4), see `compare`."""
    found_classes, classes = (probabilities(logits) for logits, _ in (found, expected))
    found_inside, inside = (sigmoid(masks.astype(np.float32)) for _, masks in (found, expected))
    scores = _scores(classes, inside)
    winners = _scores(found_classes, found_inside).argmax(axis=1)[:, None]
    winning = np.take_along_axis(scores, winners, axis=1)[:, 0] >= (1 - tie) * scores.max(axis=1)
    chosen = np.take_along_axis(classes, found_classes.argmax(axis=2)[:, :, None], axis=2)[:, :, 0]
    same_class = chosen >= (1 - tie) * classes.max(axis=2)
    labeled = np.take_along_axis(same_class, winners.reshape(len(winners), -1), axis=1).reshape(winning.shape)
    side, found_side = (np.take_along_axis(each, winners, axis=1)[:, 0] - 0.5 for each in (inside, found_inside))
    same_side = ((side >= 0) == (found_side >= 0)) | (np.abs(side) <= tie / 2)
    return np.asarray(winning & labeled & same_side)


def _scores(classes: NDArray[np.float32], inside: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the scores of queries at pixels, (N, Q, H/4, W/4): the highest class probability times the mask's."""
    return np.asarray(classes[:, :, :-1].max(axis=2)[:, :, None, None] * inside)


def _to_finite(value: float) -> float:
    """Return ``value``, or the largest float32 in place of NaN and infinity, which JSON cannot hold."""
    return value if np.isfinite(value) else float(np.finfo(np.float32).max)


def pixels_that_agree(share: float) -> str:
    """Return a share of pixels, 0 to 1, in words, never rounded up: "all pixels agree"."""
    return "all pixels agree" if share == 1 else f"at least {math.floor(1e5 * share) / 1e3:.3f} % of pixels agree"
