"""Why a result has nothing in it, and what to do about it."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from pem_edge.runtime.artifacts.manifest import Thresholds
from pem_edge.runtime.inference.postprocess.classes import probabilities
from pem_edge.runtime.results.result import Result


class Emptiness(NamedTuple):
    """The reason why a result has nothing in it.

    Attributes:
        reason: The reason, for the line of the result.
        remedy: What may help, such as "a lower --score-threshold"; "" if only another model may.
    """

    reason: str
    remedy: str = ""


def why_empty(result: Result, thresholds: Thresholds) -> Emptiness:
    """Return why a panoptic result has no segments, or one of instances no confident instances.

    Args:
        result: The result.
        thresholds: Those in force.
    """
    if result.task == "instance":
        found = result.instances
        if not found:
            return Emptiness("no query has an instance")
        return _below(f"the best of {len(found)} instances", found[0].score, thresholds.score)
    logits, _ = result.outputs()
    scores = probabilities(logits)
    objects = scores[scores.argmax(axis=1) < scores.shape[1] - 1, :-1]
    if not len(objects):
        return Emptiness(f"all {len(scores)} queries say that there is no object")
    if objects.max() <= thresholds.score:
        return _below(f"the best of {len(scores)} queries", float(objects.max()), thresholds.score)
    return _hidden(thresholds.overlap)


def advice(remedies: Collection[str]) -> str:
    """Return the advice where all results have nothing in them, given what may help each of them."""
    return f"nothing was found: try {' or '.join([*sorted(filter(None, remedies)), 'another model'])}"


def _below(what: str, score: float, threshold: float) -> Emptiness:
    """Return that the best score is too low, with as many digits as it takes to tell it from the threshold."""
    digits = next((digits for digits in (2, 3, 4) if round(score, digits) < threshold), 6)
    reason = f"{what} scores {score:.{digits}f}, below --score-threshold {threshold:g}"
    return Emptiness(reason, "a lower --score-threshold")


def _hidden(threshold: float) -> Emptiness:
    if threshold > 0:
        reason = f"too little of their masks is visible for --overlap-threshold {threshold:g}"
        return Emptiness(f"queries pass --score-threshold, but {reason}", "a lower --overlap-threshold")
    return Emptiness("queries pass --score-threshold, but none has a mask that covers a pixel", "a larger picture")
