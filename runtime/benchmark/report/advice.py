"""Says which artifact is the fastest, which the most accurate, and which one to ship."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pem_edge.runtime.benchmark.options import NoiseLimits
from pem_edge.runtime.benchmark.report import ranking, wording
from pem_edge.runtime.benchmark.report.wording import Name, Words, joined
from pem_edge.runtime.benchmark.schema import ArtifactReport, MultiStream, Offline, Report, Scenarios
from pem_edge.runtime.plurals import plural


def verdict(report: Report, sure: bool) -> Iterator[Words]:
    """Yield what follows from the figures, more cautiously unless ``sure``."""
    best = ranking.fastest(report)
    artifact = report.artifacts[best.number - 1]
    total = artifact.stages["total"]
    speed = (
        f"{wording.milliseconds(total.p50)} ms per image in the median, {wording.per_second(artifact.fps)} images per "
        "second on average"
    )
    if len(report.artifacts) == 1:
        yield (best, f" takes {speed}; one image in ten takes longer than {wording.milliseconds(total.p90)} ms. ")
        if artifact.accuracy and artifact.accuracy.pq is not None:
            yield (f"Its PQ is {wording.points(artifact.accuracy.pq)} on {_images(artifact)}. ",)
        return
    peers = ranking.level_with(report, best)
    if peers:
        yield (*joined(_by_number(best, *peers)), f" are the fastest with single images, alike within noise: {speed}. ")
    else:
        others = (name for name in wording.names(report.artifacts) if name != best)
        runner_up = min(others, key=lambda name: ranking.total(report, name))
        next_best = f" with {wording.milliseconds(ranking.total(report, runner_up))} ms. "
        yield (best, f" is the fastest with single images: {speed}, followed by ", runner_up, next_best)
    yield from _accuracy(report, best, peers, sure)
    yield from _other_scenarios(report, best)


def _accuracy(report: Report, best: Name, peers: list[Name], sure: bool) -> Iterator[Words]:
    kept = ranking.worth_shipping(report)
    if not kept:
        return
    top = max(kept, key=lambda name: ranking.shown_pq(report, name))
    if len(kept) == 1:
        yield from _one_is_best(report, top, _by_number(best, *peers), sure)
    elif ranking.alike_in_pq(report, kept[0], top):
        yield from _too_close(report, kept[0], top)
    else:
        yield from _choice(report, kept, top, sure)


def _one_is_best(report: Report, top: Name, fast: list[Name], sure: bool) -> Iterator[Words]:
    """Yield that ``top`` is the most accurate, where none is both faster and less accurate."""
    alike = [name for name in fast if ranking.pq(report, name) and ranking.alike_in_pq(report, name, top)]
    score = f"PQ {wording.points(ranking.pq(report, top))} on {_images(report.artifacts[top.number - 1])}"
    if len(alike) > 1:
        said = ": ship either. " if sure else ": nothing here speaks for one of them. "
        yield (*joined(alike), f" are the most accurate, too ({score}){said}")
    elif alike:
        said = ": ship it. " if sure else ": so far it looks like the one to ship. "
        yield (top, f" is the most accurate, too ({score}){said}")
    else:
        yield (top, f" is the most accurate ({score}). ")


def _too_close(report: Report, quick: Name, top: Name) -> Iterator[Words]:
    """Yield that ``top`` is slower, and has no more PQ than chance gives."""
    high, low = (wording.points(ranking.pq(report, name)) for name in (top, quick))
    on = _images(report.artifacts[top.number - 1])
    yield ("The PQ of ", top, f" is {high}, that of ", quick, f" {low} on {on}, too few to tell them apart. ")
    gain = wording.times(ranking.total(report, top) / ranking.total(report, quick))
    yield ("As ", quick, f" is {gain} times as fast, it looks like the one to ship, unless more images show a loss. ")


def _choice(report: Report, kept: list[Name], top: Name, sure: bool) -> Iterator[Words]:
    """Yield what speed costs in accuracy."""
    quick = kept[0]
    score = f"PQ {wording.points(ranking.pq(report, top))} on {_images(report.artifacts[top.number - 1])}"
    yield (top, f" is the most accurate: {score}, {wording.milliseconds(ranking.total(report, top))} ms. ")
    loss = ranking.shown_pq(report, top) - ranking.shown_pq(report, quick)
    gain = wording.times(ranking.total(report, top) / ranking.total(report, quick))
    ship = "Ship " if sure else "If these figures hold, ship "
    yield (ship, quick, f" if {gain} times the speed is worth {loss:.1f} points of PQ, else ", top, ". ")
    scored = [name for name in wording.names(report.artifacts) if ranking.pq(report, name) is not None]
    if others := [name for name in scored if name not in kept]:
        verb = "gains" if len(others) == 1 else "gain"
        yield (*joined(others), f" {verb} nothing: another is at least as fast and as accurate. ")


_Throughput = MultiStream | Offline
_SCENARIOS: dict[str, Callable[[Scenarios], _Throughput | None]] = {
    "with several callers at once": lambda scenarios: scenarios.multi_stream,
    "with all images there from the start": lambda scenarios: scenarios.offline,
}


def _other_scenarios(report: Report, best: Name) -> Iterator[Words]:
    """Yield where another one than ``best`` is faster in every one of its turns, beyond noise."""
    for when, of in _SCENARIOS.items():
        found = [(name, of(each.scenarios)) for name, each in zip(wording.names(report.artifacts), report.artifacts,
                                                                  strict=True)]  # fmt: skip
        known = [(name, rate) for name, rate in found if rate and rate.turns]
        ours = next((rate for name, rate in known if name == best), None)
        name, rate = max(known, key=lambda each: each[1].fps, default=(best, None))
        if ours and rate and min(rate.turns) > max(ours.turns) and rate.fps > (1 + NoiseLimits.floor) * ours.fps:
            figures = f"{wording.per_second(rate.fps)} against {wording.per_second(ours.fps)} images per second"
            yield (f"Not so {when}: there, ", name, f" is faster ({figures}). ")


def _by_number(*names: Name) -> list[Name]:
    return sorted(names, key=lambda name: name.number)


def _images(artifact: ArtifactReport) -> str:
    assert artifact.accuracy is not None
    return f"{plural(artifact.accuracy.images, 'image')} of {wording.dataset(artifact.accuracy.dataset)}"
