"""A report in words: which artifact to ship, what to doubt, where its time goes, how close it comes to the machine."""

from __future__ import annotations

from pem_edge.runtime.benchmark.measures.limits.roofline import LEAST_FRACTION, OVERHEAD
from pem_edge.runtime.benchmark.report import advice, ranking, tables, wording
from pem_edge.runtime.benchmark.report.doubts import doubt_of_bounds, doubts
from pem_edge.runtime.benchmark.report.wording import Words, joined
from pem_edge.runtime.benchmark.schema import ArtifactReport, Report, Times
from pem_edge.runtime.plurals import plural

_WORTH_NAMING = 0.01  # of the total


def summary(report: Report) -> list[Words]:
    """Return the paragraphs, the one to read first first."""
    return [artifacts(report), lead(report), where_time_goes(report)]


def artifacts(report: Report) -> Words:
    """Return which artifacts these are, and the words that a verdict on them needs."""
    listed = [
        (name, f" ({wording.precision(each)}, in {wording.printable(each.backend)})")
        for name, each in zip(wording.names(report.artifacts), report.artifacts, strict=True)
    ]
    terms = dict.fromkeys(each.precision for each in report.artifacts)
    if any(each.bf16 for each in report.artifacts):
        terms["bf16"] = None
    if any(each.accuracy and each.accuracy.pq is not None for each in report.artifacts):
        terms["pq"] = None
    explained = "; ".join(wording.TERMS[term] for term in terms if term in wording.TERMS)
    return ("An artifact is a model as it is deployed. Here: ", *joined(listed), f". {explained}.")


def lead(report: Report) -> Words:
    """Return the verdict with what qualifies it, which is to be read together."""
    found = list(doubts(report))
    interrupted = f"Interrupted: this is what was measured in {plural(report.rounds, 'round')}, the rest is missing. "
    begun = [(interrupted,)] if report.interrupted else []
    unscored = [("Accuracy was not measured: --dataset sets it beside speed. ",)]
    asked = [] if len(report.artifacts) == 1 or any(each.accuracy for each in report.artifacts) else unscored
    verdict = advice.verdict(report, sure=not found)
    return tuple(part for sentence in (*begun, *verdict, *found, *asked) for part in sentence)


def where_time_goes(report: Report) -> Words:
    """Return the largest stages of the fastest artifact, and its inference against the machine."""
    best = ranking.fastest(report)
    artifact = report.artifacts[best.number - 1]
    whole = artifact.stages["total"].mean
    parts = sorted(tables.ordered(artifact.stages), key=lambda item: item[1].mean, reverse=True)
    shares = [
        f"{wording.printable(stage)} {wording.percent(times.mean / whole)}"
        for stage, times in parts
        if stage != "total" and times.mean > _WORTH_NAMING * whole
    ]
    subject: Words = ("Its time",) if len(report.artifacts) == 1 else ("The time of ", best)
    words: Words = (*subject, " goes to ", *joined(shares[:3]), ". ")
    return (*words, *_limit(artifact), *_bounds(artifact))


def _limit(artifact: ArtifactReport) -> Words:
    """Return how close inference comes to its limit."""
    rate = artifact.rate
    if rate is None or rate.limit is None:
        return ()
    inference = rate.limit / rate.fraction if rate.fraction else 0.0
    return (
        f"Its inference runs at {wording.percent(rate.fraction)} of the best speed that this machine allows: it takes "
        f"{wording.milliseconds(inference)} ms{_which(inference, artifact.stages.get('inference'))}, and its nodes "
        f"need at least {wording.milliseconds(rate.limit)} ms. ",
    )


def _which(milliseconds: float, times: Times | None) -> str:
    """Return which time this is, unless it reads like the median or the mean, which are shown, too."""
    shown = {wording.milliseconds(each) for each in (times.p50, times.mean)} if times else set()
    if wording.milliseconds(milliseconds) in shown:
        return ""
    return " typically (the mean without the fastest and the slowest fifth)"


def _bounds(artifact: ArtifactReport) -> Words:
    """Return what bounds the nodes, and what casts doubt on that."""
    profile = artifact.profile
    if artifact.rate is None or artifact.rate.limit is None or profile is None or not profile.by_bound:
        return ()
    shares = [
        f"{wording.printable(bound)} {wording.percent(time / profile.total)}"
        for bound, time in profile.by_bound.items()
    ]
    bounds: Words = ("What bounds its nodes, by their time: ", *joined(shares), ". ")
    if OVERHEAD in profile.by_bound:
        bounds += (
            f"Overhead: they take more than {1 / LEAST_FRACTION:g} times their limits, mostly because there are "
            "many small ones, the backend has no fast kernel for them, or threads wait for each other. ",
        )
    return (*bounds, *doubt_of_bounds(profile, artifact.stages.get("inference")))
