"""Why a result has nothing in it, and what to do about it."""

from __future__ import annotations

from pem_edge.runtime.inference.postprocess.classes import probabilities
from pem_edge.runtime.results.result import Result


def why_empty(result: Result) -> str:
    """Return the reason why a panoptic result has no segments, or one of instances no confident instances."""
    if result.task == "instance":
        found = result.instances
        if not found:
            return "no query has an instance"
        return f"the best of {len(found)} instances {_below(found[0].score, result.score_threshold)}"
    logits, _ = result.outputs()
    scores = probabilities(logits)
    objects = scores[scores.argmax(axis=1) < scores.shape[1] - 1, :-1]
    if not len(objects):
        return f"all {len(scores)} queries say that there is no object"
    if objects.max() <= result.score_threshold:
        return f"the best of {len(scores)} queries {_below(float(objects.max()), result.score_threshold)}"
    return "queries pass --score-threshold, but too little of their masks is visible: lower --overlap-threshold"


def _below(score: float, threshold: float) -> str:
    """Return how a score compares, with as many digits as that takes."""
    digits = next((digits for digits in (2, 3, 4) if round(score, digits) < threshold), 6)
    return f"scores {score:.{digits}f}, below --score-threshold {threshold:g}"
