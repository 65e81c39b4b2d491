"""Names what to keep in mind before trusting a report's figures."""

from __future__ import annotations

from collections.abc import Iterator

from pem_edge.runtime.benchmark import statistics
from pem_edge.runtime.benchmark.report import ranking, wording
from pem_edge.runtime.benchmark.report.wording import Words, joined
from pem_edge.runtime.benchmark.schema import ArtifactReport, Profile, Report, Times
from pem_edge.runtime.plurals import plural

_FEW_ROUNDS = 10
_FAR_APART = 2.0  # where one of inference and its profile took that many times as long, the machine changed meanwhile
_SHIFT = 0.05  # a reference work whose halves differ by more says that the machine changed meanwhile


def doubts(report: Report) -> Iterator[Words]:
    """Yield what weakens a verdict."""
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
        yield (
            f"The machine itself became {wording.percent(abs(shift - 1))} {pace} during the run; the artifacts took "
            "turns, so that favors none, but another run may give other times. ",
        )
    for name, artifact in zip(wording.names(report.artifacts), report.artifacts, strict=True):
        if reason := _beaten(artifact):
            yield ("Something in ", name, f" was {wording.printable(reason)}. ")
    fewest = ranking.fewest_images(report)
    if len(report.artifacts) > 1 and 0 < fewest < ranking.FEW_IMAGES:
        yield (f"On {plural(fewest, 'image')} alone, small differences of PQ are chance. ",)


def _beaten(artifact: ArtifactReport) -> str | None:
    """Return why inference or one of the costliest nodes was faster than its limit, or None if none was."""
    layers = artifact.profile.layers if artifact.profile else ()
    reasons = [artifact.rate.doubt if artifact.rate else None, *(layer.doubt for layer in layers)]
    return next(filter(None, reasons), None)


def doubt_of_bounds(profile: Profile, inference: Times | None) -> Words:
    """Return why what bounds the nodes of ``profile`` may be wrong, or nothing."""
    if inference is None:
        return ()
    if inference.noisy:
        reason = "the times of inference vary much"
    elif max(profile.total, inference.p50) > _FAR_APART * min(profile.total, inference.p50):
        nodes, whole = map(wording.milliseconds, (profile.total, inference.p50))
        reason = f"the nodes took {nodes} ms in the profile, inference {whole} ms in the median"
    else:
        return ()
    return (
        f"This is doubtful: {reason}. If the machine was busy, other processes count as overhead here: measure again "
        "on a quiet one. ",
    )


def drift(report: Report) -> float | None:
    """Return the reference work's typical time in the second half of the rounds over that in the first, if known."""
    values = report.reference_work.values if report.reference_work else ()
    if len(values) < 2 * _FEW_ROUNDS:
        return None
    half = len(values) // 2
    return statistics.typical(values[half:]) / statistics.typical(values[:half])
