"""A report in words: which artifact to ship, where its time goes, how close it comes to the machine, what to doubt."""

from __future__ import annotations

from collections.abc import Iterator

from pem_edge.runtime.benchmark import statistics
from pem_edge.runtime.benchmark.options import NoiseLimits
from pem_edge.runtime.benchmark.report import tables, wording
from pem_edge.runtime.benchmark.report.wording import Name, Words, joined
from pem_edge.runtime.benchmark.schema import ArtifactReport, Report
from pem_edge.runtime.plurals import plural

_FEW_ROUNDS = 10
_FEW_IMAGES = 50
_WORTH_NAMING = 0.01  # of the total
_SHIFT = 0.05  # a reference work whose halves differ by more says that the machine changed meanwhile


def summary(report: Report) -> list[Words]:
    """Return the paragraphs, the one to read first first."""
    return [
        tuple(part for sentence in sentences for part in sentence)
        for sentences in (list(verdict(report)), list(where_time_goes(report)), list(doubts(report)))
        if sentences
    ]


def verdict(report: Report) -> Iterator[Words]:
    """Yield which artifact is the fastest, which the most accurate, and what follows from both."""
    best = fastest(report)
    artifact = report.artifacts[best.number - 1]
    total = artifact.stages["total"]
    speed = f"{wording.milliseconds(total.p50)} ms per image ({wording.per_second(artifact.fps)} FPS)"
    if len(report.artifacts) == 1:
        yield (best, f" takes {speed}; one image in ten takes longer than {wording.milliseconds(total.p90)} ms. ")
        if artifact.accuracy and artifact.accuracy.pq is not None:
            yield (f"Its PQ is {wording.points(artifact.accuracy.pq)} on {_images(artifact)}. ",)
        return
    peers = level_with(report, best)
    if peers:
        level = sorted((best, *peers), key=_rank)
        yield (*joined(level), f" are the fastest, alike within noise: {speed}. ")
    else:
        others = (name for name in wording.names(report.artifacts) if name != best)
        runner_up = min(others, key=lambda name: _total(report, name))
        next_best = f" with {wording.milliseconds(_total(report, runner_up))} ms. "
        yield (best, f" is the fastest: {speed}, followed by ", runner_up, next_best)
    yield from _accuracy(report, best, peers)


def fastest(report: Report) -> Name:
    """Return the artifact of the lowest median."""
    return min(wording.names(report.artifacts), key=lambda name: _total(report, name))


def level_with(report: Report, best: Name) -> list[Name]:
    """Return those that are not slower than ``best`` beyond noise."""
    return [name for name in wording.names(report.artifacts) if name != best and not _apart(report, best, name)]


def worth_shipping(report: Report) -> list[Name]:
    """Return those with PQ that no other beats in both: more accurate, and faster or level. The fastest first."""
    scored = [name for name in wording.names(report.artifacts) if _pq(report, name) is not None]
    scored.sort(key=lambda name: _total(report, name))
    kept: list[Name] = []
    for name in scored:
        if all(_shown_pq(report, name) > _shown_pq(report, other) for other in kept):
            kept = [other for other in kept if _apart(report, other, name)]  # level, and less accurate
            kept.append(name)
    return kept


def where_time_goes(report: Report) -> Iterator[Words]:
    """Yield the largest stage of the fastest artifact, and its inference against the machine."""
    best = fastest(report)
    artifact = report.artifacts[best.number - 1]
    whole = artifact.stages["total"].mean
    parts = sorted(tables.ordered(artifact.stages), key=lambda item: item[1].mean, reverse=True)
    shares = [
        f"{wording.printable(stage)} {wording.percent(times.mean / whole)}"
        for stage, times in parts
        if stage != "total" and times.mean > _WORTH_NAMING * whole
    ]
    subject: Words = ("Its time",) if len(report.artifacts) == 1 else ("The time of ", best)
    yield (*subject, " goes to ", *joined(shares[:3]), ". ")
    rate = artifact.rate
    if rate and rate.fraction is not None:
        yield (
            f"Its inference reaches {wording.percent(rate.fraction)} of the rate of a large convolution on this "
            f"machine ({wording.giga(rate.reached)} of {wording.giga(rate.convolution)} GMAC/s). ",
        )


def doubts(report: Report) -> Iterator[Words]:
    """Yield what to keep in mind before trusting the figures."""
    noisy = [name for name, artifact in zip(wording.names(report.artifacts), report.artifacts, strict=True)
             if artifact.stages["total"].noisy]  # fmt: skip
    if noisy:
        yield ("The times of ", *joined(noisy), " vary much: measure again on a quieter machine. ")
    if report.rounds < _FEW_ROUNDS:
        were = "was" if report.rounds == 1 else "were"
        yield (f"Only {plural(report.rounds, 'round')} {were} measured: intervals are wide. ",)
    shift = drift(report)
    if shift is not None and abs(shift - 1) > _SHIFT:
        pace = "slower" if shift > 1 else "faster"
        yield (f"The machine itself became {wording.percent(abs(shift - 1))} {pace} during the run. ",)
    if len(report.artifacts) == 1:
        return
    scored = [artifact for artifact in report.artifacts if artifact.accuracy]
    if not scored:
        yield ("Accuracy was not measured: --dataset sets it beside speed. ",)
    elif (fewest := min(artifact.accuracy.images for artifact in scored if artifact.accuracy)) < _FEW_IMAGES:
        yield (f"On {plural(fewest, 'image')} alone, small differences of PQ are chance. ",)


def drift(report: Report) -> float | None:
    """Return the reference work's typical time in the second half of the rounds over that in the first, if known."""
    values = report.reference_work.values if report.reference_work else ()
    if len(values) < 2 * _FEW_ROUNDS:
        return None
    half = len(values) // 2
    return statistics.typical(values[half:]) / statistics.typical(values[:half])


def _accuracy(report: Report, best: Name, peers: list[Name]) -> Iterator[Words]:
    kept = worth_shipping(report)
    if not kept:
        return
    top = max(kept, key=lambda name: _shown_pq(report, name))
    score = f"PQ {wording.points(_pq(report, top))} on {_images(report.artifacts[top.number - 1])}"
    if len(kept) == 1:
        alike = [
            name for name in sorted((best, *peers), key=_rank) if _shown_pq(report, name) == _shown_pq(report, top)
        ]
        if len(alike) > 1:
            yield (*joined(alike), f" are the most accurate, too ({score}): ship either. ")
        else:
            yield (
                top,
                f" is the most accurate, too ({score}): ship it. " if alike else f" is the most accurate ({score}). ",
            )
        return
    yield (top, f" is the most accurate: {score}, {wording.milliseconds(_total(report, top))} ms. ")
    quick = kept[0]
    loss = _shown_pq(report, top) - _shown_pq(report, quick)
    gain = wording.times(_total(report, top) / _total(report, quick))
    yield ("Ship ", quick, f" if {gain} times the speed is worth {loss:.1f} points of PQ, else ", top, ". ")
    others = [name for name in wording.names(report.artifacts) if _pq(report, name) is not None and name not in kept]
    if others:
        verb = "gains" if len(others) == 1 else "gain"
        yield (*joined(others), f" {verb} nothing: another is at least as fast and as accurate. ")


def _rank(name: Name) -> int:
    return name.number


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


def _total(report: Report, name: Name) -> float:
    return report.artifacts[name.number - 1].stages["total"].p50


def _pq(report: Report, name: Name) -> float | None:
    found = report.artifacts[name.number - 1].accuracy
    return found.pq if found else None


def _shown_pq(report: Report, name: Name) -> float:
    """Return PQ to the digit that is shown: smaller differences do not count."""
    return round(_pq(report, name) or 0.0, 1)


def _images(artifact: ArtifactReport) -> str:
    assert artifact.accuracy is not None
    return f"{plural(artifact.accuracy.images, 'image')} of {wording.printable(artifact.accuracy.dataset)}"
