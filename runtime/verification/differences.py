"""Differences between outputs, and the limits that they must meet.

PEM's cross-attention picks, per head and query, the one pixel of highest similarity. Where two similarities are equal
to within rounding, two correct implementations may pick different pixels, and the outputs for that image then differ
visibly though neither is wrong. This happens on about one image in eight. A check therefore passes if most images are
within the tolerance and the segmentations of all images agree nearly everywhere; a real fault fails on every image.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.provenance import Difference, Parity, Tolerance, TypicalDifference, WorstDifference
from pem_edge.runtime.inference.postprocess.classes import probabilities, sigmoid

Outputs = tuple[NDArray[np.floating], NDArray[np.floating]]
"""Class logits (N, Q, K + 1) and mask logits (N, Q, H/4, W/4)."""

TOLERANCES = {
    "fp32": Tolerance(),
    "fp16": Tolerance(logits=0.5, masks=2.0, agreement=0.95, tie=0.02),
    "int8": Tolerance(logits=4.0, masks=30.0, agreement=0.85, tie=0.02),
}
"""The tolerance by precision. Half precision rounds a mask logit of 512 by up to 0.25, which does no harm because only
logits near 0 decide anything, and it makes ties between similarities more frequent. Where values are quantized,
rounding moves some of them by a whole step: the demo model with the rest in half instead of single precision differs by
up to 2.2 in class logits and 16 in mask logits, and 93.1 % of an image's pixels agree."""


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

    A pixel agrees if the query that wins it has an expected score of at least 1 - ``tie`` times the highest expected
    score at that pixel.

    Args:
        found: The outputs of the backend.
        expected: The expected outputs.
        size: The size of the images, "HxW", for the report.
        tie: The fraction by which scores may differ and still count as tied.
    """
    logits, masks = (float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True))
    scores, winners = _scores(*expected), _scores(*found).argmax(axis=1)
    reached = np.take_along_axis(scores, winners[:, None], axis=1)[:, 0]
    agreement = float(np.mean(reached >= (1 - tie) * scores.max(axis=1)))
    return Difference(size, _to_finite(logits), _to_finite(masks), agreement)


def _scores(logits: NDArray[np.floating], masks: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the highest class probability times the mask probability, (N, Q, H/4, W/4)."""
    scores = probabilities(logits)[:, :, :-1].max(axis=2)
    return np.asarray(scores[:, :, None, None] * sigmoid(masks.astype(np.float32)))


def _to_finite(value: float) -> float:
    """Return ``value``, or the largest float32 in place of NaN and infinity, which JSON cannot hold."""
    return value if np.isfinite(value) else float(np.finfo(np.float32).max)
