"""Tells which of a report's artifacts are faster or more accurate than others, beyond noise and chance."""

from __future__ import annotations

from pem_edge.runtime.benchmark import statistics
from pem_edge.runtime.benchmark.options import NoiseLimits
from pem_edge.runtime.benchmark.report import tables, wording
from pem_edge.runtime.benchmark.report.wording import Name
from pem_edge.runtime.benchmark.schema import Report

FEW_IMAGES = 50
_CHANCE = 2.0  # points of PQ by which scores on as few images can differ


def fastest(report: Report) -> Name:
    """Return the artifact of the lowest median."""
    return min(wording.names(report.artifacts), key=lambda name: total(report, name))


def level_with(report: Report, best: Name) -> list[Name]:
    """Return those that are not slower than ``best`` beyond noise."""
    return [name for name in wording.names(report.artifacts) if name != best and not _apart(report, best, name)]


def worth_shipping(report: Report) -> list[Name]:
    """Return those with PQ that no other beats in both: more accurate, and faster or level. The fastest first."""
    scored = [name for name in wording.names(report.artifacts) if pq(report, name) is not None]
    scored.sort(key=lambda name: total(report, name))
    kept: list[Name] = []
    for name in scored:
        if all(shown_pq(report, name) > shown_pq(report, other) for other in kept):
            kept = [other for other in kept if _apart(report, other, name)]  # level, and less accurate
            kept.append(name)
    return kept


def alike_in_pq(report: Report, one: Name, other: Name) -> bool:
    """Return whether the PQ of two, both known, is the same as far as the number of images can tell."""
    difference = abs(shown_pq(report, one) - shown_pq(report, other))
    return difference < _CHANCE if fewest_images(report) < FEW_IMAGES else difference == 0


def fewest_images(report: Report) -> int:
    """Return the number of images that the least examined artifact was scored on; 0 if none was."""
    return min((each.accuracy.images for each in report.artifacts if each.accuracy), default=0)


def _apart(report: Report, fast: Name, slow: Name) -> bool:
    """Return whether ``slow`` takes longer beyond noise."""
    fast_one, slow_one = (report.artifacts[name.number - 1] for name in (fast, slow))
    if fast.number == 1 and (known := tables.comparison(report, slow_one.name)):
        return known.verdict == "slower"
    if slow.number == 1 and (known := tables.comparison(report, fast_one.name)):
        return known.verdict == "faster"
    limits = _limits(report)
    ratio = statistics.ratio_in_rounds(slow_one.stages["total"].values, fast_one.stages["total"].values, limits)
    return statistics.verdict(ratio, limits.floor) == "slower"


def _limits(report: Report) -> NoiseLimits:
    """Return those that the report's own comparisons were made with."""
    if not report.comparisons:
        return NoiseLimits()
    used = report.comparisons[0]
    return NoiseLimits(confidence=used.ratio.confidence, floor=used.floor)


def total(report: Report, name: Name) -> float:
    """Return the median of the whole, in milliseconds."""
    return report.artifacts[name.number - 1].stages["total"].p50


def pq(report: Report, name: Name) -> float | None:
    """Return PQ in percent, None if it is not known."""
    found = report.artifacts[name.number - 1].accuracy
    return found.pq if found else None


def shown_pq(report: Report, name: Name) -> float:
    """Return PQ to the digit that is shown: smaller differences do not count."""
    return round(pq(report, name) or 0.0, 1)
