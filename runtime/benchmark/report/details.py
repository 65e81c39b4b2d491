"""Tables of what stands behind a report: the artifacts, the machine, each stage, each layer, what is not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pem_edge.runtime.benchmark.measures.limits.roofline import LEAST_FRACTION
from pem_edge.runtime.benchmark.report import wording
from pem_edge.runtime.benchmark.report.tables import Row, Table, by_artifact, ordered, percentiles, variation
from pem_edge.runtime.benchmark.report.wording import UNKNOWN, Name
from pem_edge.runtime.benchmark.schema import ArtifactReport, Profile, Report

_TYPES = 5
_NO_BIAS = "/WithoutBiases"
"""The end that OpenVINO adds to the names of convolutions, and that would take the place of what tells them apart."""


def stage_times(artifact: ArtifactReport) -> Table:
    """Return all about one artifact's stages."""
    columns = ("stage", "p50", "p90", "p99", "mean", "least", "CV", "samples")
    rows = tuple(
        (wording.printable(stage), *percentiles(times), wording.milliseconds(times.mean),
         wording.milliseconds(times.minimum), variation(times), str(times.samples))
        for stage, times in ordered(artifact.stages)
    )  # fmt: skip
    return Table("Stages", "Milliseconds; CV is the coefficient of variation, ! if noisy.", columns, rows)


def layers(profile: Profile) -> Table:
    """Return the costliest nodes of one artifact, with their limits and what bounds them."""
    rows = tuple(
        (wording.printable(layer.name.removesuffix(_NO_BIAS)), wording.printable(layer.type),
         wording.milliseconds(layer.milliseconds),
         wording.percent(layer.share), UNKNOWN if layer.limit is None else wording.milliseconds(layer.limit),
         wording.percent(layer.fraction), wording.printable(layer.bound or UNKNOWN))
        for layer in profile.layers
    )  # fmt: skip
    note = (
        f"Of {wording.milliseconds(profile.total)} ms in all nodes, by the backend's own profiler. "
        f"By type: {_shares(profile.by_type, profile.total)}."
    )
    if profile.by_bound:
        note += (
            f" By what bounds them: {_shares(profile.by_bound, profile.total)}. Limit: the least milliseconds in which "
            "this machine can compute and move what the node must; reached: limit over time; bound: the larger part of "
            f"the limit, or overhead where less than {wording.percent(LEAST_FRACTION)} is reached."
        )
    note += wording.above_limit(layer.doubt for layer in profile.layers)
    columns = ("layer", "type", "ms", "share", "limit", "reached", "bound")
    return Table("Costliest layers", note, columns, rows)


def _shares(times: Mapping[str, float], total: float) -> str:
    """Return the largest times as shares of ``total``, in words."""
    return ", ".join(f"{wording.printable(kind)} {wording.percent(time / total)}" for kind, time in _largest(times))


def _largest(times: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(times.items(), key=lambda item: -item[1])[:_TYPES]


def all_layers(report: Report) -> list[Table]:
    """Return the costliest nodes of each artifact that was profiled."""
    named = zip(wording.names(report.artifacts), report.artifacts, strict=True)
    return [titled(layers(artifact.profile), name) for name, artifact in named if artifact.profile]


def titled(table: Table, name: Name) -> Table:
    """Return ``table`` with the artifact that it is about in its title."""
    return replace(table, title=f"{table.title} of {name.number} {name.text}")


def compared_stages(report: Report) -> Table:
    """Return every comparison of the report."""
    numbered = {each.name: name for each, name in zip(report.artifacts, wording.names(report.artifacts), strict=True)}
    rows = tuple(
        (numbered[c.model], wording.printable(c.stage),
         wording.times(c.ratio.estimate), wording.bounds(c.ratio), c.verdict)
        for c in report.comparisons
    )  # fmt: skip
    note = "Time divided by that of the first artifact, below 1 is faster; from rounds in which all took turns."
    return Table("Stage by stage", note, ("artifact", "stage", "ratio", "interval", "verdict"), rows)


def artifacts(report: Report) -> Table:
    """Return what was measured."""
    columns = ("artifact", "file", "variant", "precision", "size", "backend", "deform. conv.", "settings", "SHA-256")

    def row(artifact: ArtifactReport) -> Row:
        settings = ", ".join(f"{key} {value}" for key, value in artifact.settings.items())
        size = f"{artifact.height}x{artifact.width}"
        precision = f"{artifact.precision}, bf16" if artifact.bf16 else artifact.precision
        texts = (artifact.model, artifact.variant, precision, size, artifact.backend, artifact.deform_conv,
                 settings or UNKNOWN, artifact.sha256[:12])  # fmt: skip
        return tuple(wording.printable(text) for text in texts)

    return by_artifact(report, "Artifacts", "Which files these were.", columns, row)


def machine(report: Report) -> Table:
    """Return where it was measured; what changes while it runs has a value before and one after."""
    here = report.machine
    memory = "unknown" if here.memory_bytes is None else wording.size(here.memory_bytes)
    facts = {
        "system": here.system, "CPU": here.cpu, "cores": f"{here.usable_cores} of {here.cores} usable",
        "memory": memory, "GPU": here.gpu, "power mode": here.power_mode, **here.details, **here.versions,
    }  # fmt: skip
    changing = {key: f"{here.before.get(key, UNKNOWN)} before, {here.after.get(key, UNKNOWN)} after"
                for key in {**here.before, **here.after}}  # fmt: skip
    rows = tuple((wording.printable(key), wording.printable(value)) for key, value in {**facts, **changing}.items())
    return Table("Machine", "Where it was measured.", ("fact", "value"), rows)


def missing(report: Report) -> Table:
    """Return what could not be found out, and why."""
    rows = tuple(
        (name, wording.printable(what), wording.printable(why))
        for name, artifact in zip(wording.names(report.artifacts), report.artifacts, strict=True)
        for what, why in artifact.missing.items()
    )
    return Table("Not known", "What could not be measured, and why.", ("artifact", "what", "why"), rows)
