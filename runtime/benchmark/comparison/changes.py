"""Compares two reports, and decides which changes are more than noise."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pem_edge.runtime.benchmark import statistics
from pem_edge.runtime.benchmark.options import NoiseLimits
from pem_edge.runtime.benchmark.report import wording
from pem_edge.runtime.benchmark.schema import SCHEMA_VERSION, ArtifactReport, Interval, Report, Times
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.suggestions import no_such
from pem_edge.runtime.versioned_json import to_json


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that differs between the reports, such as the CPU. None means that a report does not state it.

    ``of`` is what the fact is about: "machine" (with its software), "run", or an artifact's name.
    """

    of: str
    what: str
    before: str | None
    after: str | None


class StageChange(msgspec.Struct, frozen=True, kw_only=True):
    """A stage's median times, in milliseconds, and the ratio of its trimmed means, after over before.

    ``verdict`` is "slower" or "faster" if the difference is beyond noise, else "same". Differences up to ``floor`` (a
    fraction) never count.
    """

    stage: str
    before: float
    after: float
    ratio: Interval
    verdict: str
    floor: float


class ArtifactChange(msgspec.Struct, frozen=True, kw_only=True):
    """The changes of an artifact that is in both reports.

    ``before`` is its name in the earlier report; ``pq`` is PQ in percent, before and after.
    """

    name: str
    before: str
    stages: tuple[StageChange, ...]
    pq: tuple[float | None, float | None] = (None, None)

    def stage(self, name: str) -> StageChange:
        """Return the change of the stage ``name``. Raises InputError if a report lacks it."""
        for found in self.stages:
            if found.stage == name:
                return found
        known = [found.stage for found in self.stages]
        raise InputError(f"of the stages of {self.name} in both reports, {no_such(name, known)}")


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """The changes from the report ``before`` to the report ``after``, as ``pem-bench compare --json`` prints them.

    ``machine`` is the ratio of the reference work's times; None if a report has no reference work.
    """

    schema_version: int = SCHEMA_VERSION
    before: str
    after: str
    differences: tuple[Difference, ...]
    machine: Interval | None
    artifacts: tuple[ArtifactChange, ...]
    appeared: tuple[str, ...]
    disappeared: tuple[str, ...]

    def to_json(self) -> bytes:
        """Return the changes as indented JSON."""
        return to_json(self)


def compare(
    before: Report, after: Report, names: tuple[str, str] = ("before", "after"), limits: NoiseLimits | None = None
) -> Changes:
    """Compare artifacts that have the same name, ignoring folders; two single artifacts may differ in name.

    Args:
        before: The earlier report.
        after: The later report.
        names: The names of the two reports, for the result.
        limits: The limits of what counts as noise.

    Raises:
        InputError: If a report lacks the individual times that noise is estimated from.
    """
    pairs = _pairs(before, after)
    reference_times = _reference_times(before, after)
    limits = limits or NoiseLimits()
    machine = statistics.ratio_of_runs(*reference_times, limits) if reference_times else None
    earlier, later = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return Changes(
        before=names[0],
        after=names[1],
        differences=tuple(_differences(_facts(before, earlier, later), _facts(after, later, later))),
        machine=machine,
        artifacts=tuple(_change(*pair, reference_times, limits) for pair in pairs),
        appeared=tuple(artifact.name for artifact in after.artifacts if artifact not in later),
        disappeared=tuple(artifact.name for artifact in before.artifacts if artifact not in earlier),
    )


_Pair = tuple[ArtifactReport, ArtifactReport]
_Facts = dict[tuple[str, str], str]
_ReferenceTimes = tuple[tuple[float, ...], tuple[float, ...]]
PRECISIONS = ("precision", "computed in")
"""Facts: the precision of an artifact, and that of the backend's arithmetic on what is not quantized."""


def _pairs(before: Report, after: Report) -> list[_Pair]:
    if len(before.artifacts) == len(after.artifacts) == 1:
        return [(before.artifacts[0], after.artifacts[0])]
    earlier, later = (dict(zip(_short_names(each), each.artifacts, strict=True)) for each in (before, after))
    return [(earlier[name], artifact) for name, artifact in later.items() if name in earlier]


def _short_names(report: Report) -> list[str]:
    """Return the names of the artifacts without their folders, which may differ between runs."""
    return wording.tails([artifact.name for artifact in report.artifacts])


def _reference_times(before: Report, after: Report) -> _ReferenceTimes | None:
    """Return the reference work's times, after and before."""
    if before.reference_work is None or after.reference_work is None:
        return None
    return after.reference_work.values, before.reference_work.values


def _change(before: ArtifactReport, after: ArtifactReport, reference_times: _ReferenceTimes | None,
            limits: NoiseLimits) -> ArtifactChange:  # fmt: skip
    stages = tuple(
        _stage(stage, before, after, reference_times, limits)
        for stage in before.stages
        if stage in after.stages and _takes_time(before.stages[stage]) and _takes_time(after.stages[stage])
    )
    scores = tuple(artifact.accuracy.pq if artifact.accuracy else None for artifact in (before, after))
    return ArtifactChange(name=after.name, before=before.name, stages=stages, pq=(scores[0], scores[1]))


def _takes_time(times: Times) -> bool:
    """Return whether the stage took time in every round; some backends do its work in another stage."""
    return 0.0 not in times.values


def _stage(stage: str, before: ArtifactReport, after: ArtifactReport, reference_times: _ReferenceTimes | None,
           limits: NoiseLimits) -> StageChange:  # fmt: skip
    old, new = before.stages[stage], after.stages[stage]
    found = statistics.compare(new.values, old.values, limits, reference_times=reference_times)
    return StageChange(
        stage=stage, before=old.p50, after=new.p50, ratio=found.ratio, verdict=found.verdict, floor=found.floor
    )


def _differences(before: _Facts, after: _Facts) -> Iterator[Difference]:
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            yield Difference(of=key[0], what=key[1], before=before.get(key), after=after.get(key))


def _facts(report: Report, artifacts: list[ArtifactReport], named: list[ArtifactReport]) -> _Facts:
    """Return the facts that should be equal in both reports, by group (machine, run, artifact) and name.

    Artifacts go by the names in ``named``, the later report.
    """
    here = report.machine
    machine = {
        "system": here.system, "CPU": here.cpu, "cores": str(here.cores), "usable cores": str(here.usable_cores),
        "memory": str(here.memory_bytes), "GPU": here.gpu, "power mode": here.power_mode,
        **here.details, **here.versions,
    }  # fmt: skip
    groups = [("machine", machine), ("run", {"images": report.images})]
    groups += [(later.name, _settings(each)) for later, each in zip(named, artifacts, strict=True)]
    return {(group, what): value for group, facts in groups for what, value in facts.items()}


def _settings(artifact: ArtifactReport) -> dict[str, str]:
    return {
        "model file": artifact.sha256[:12], "variant": artifact.variant, "precision": artifact.precision,
        "size": f"{artifact.height}x{artifact.width}", "backend": artifact.backend,
        "deformable convolution": artifact.deform_conv,
        **{"computed in" if name == "precision" else name: str(value) for name, value in artifact.settings.items()},
    }  # fmt: skip
