"""Renders the changes between two reports, for a terminal and for a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from pem_edge.runtime.benchmark.comparison.changes import PRECISIONS, Changes, StageChange
from pem_edge.runtime.benchmark.report import markdown, text, wording
from pem_edge.runtime.benchmark.report.tables import Row, Table
from pem_edge.runtime.benchmark.report.wording import UNKNOWN, Name, Words
from pem_edge.runtime.benchmark.schema import Interval
from pem_edge.runtime.errors import InputError


def terminal(found: Changes) -> str:
    """Return tables, then the conclusions."""
    return "\n\n".join([*map(text.table, tables(found)), "\n".join(map(text.paragraph, conclusions(found)))])


def pull_request(found: Changes) -> str:
    """Return the conclusions, then tables, as Markdown."""
    title = f"# Latency of {markdown.escaped(wording.printable(found.after))} against "
    title += markdown.escaped(wording.printable(found.before))
    parts = [title, *map(markdown.paragraph, conclusions(found)), *map(markdown.table, tables(found))]
    return "\n\n".join(parts) + "\n"


def tables(found: Changes) -> list[Table]:
    """Return what differs besides the times, then the times."""
    shown = [_differences(found), *(_stages(found, name) for name in _names(found))]
    return [table for table in shown if table.rows]


def conclusions(found: Changes) -> Iterator[Words]:
    """Yield in words what is slower or faster, on which machine, and what has no counterpart."""
    other = [wording.printable(each.what) for each in found.differences if each.of == "machine"]
    if other:
        yield (f"The machine or its software is another one ({', '.join(other)}): this says little of the artifacts.",)
    for each in found.differences:
        if each.what in PRECISIONS and each.before and each.after:
            precisions = f"{wording.printable(each.before)} before, {wording.printable(each.after)} now"
            yield (f"The precision of {wording.printable(each.of)} is another one ({precisions}).",)
    if found.machine is not None:
        yield (f"The machine itself: a fixed piece of work takes {_times(found.machine)}.",)
    for name, artifact in zip(_names(found), found.artifacts, strict=True):
        yield (name, f": {_said(artifact.stage('total'))}.")
    for verb, gone in (("appeared", found.appeared), ("disappeared", found.disappeared)):
        if gone:
            yield (f"{', '.join(map(wording.printable, gone))} {verb}.",)


def too_slow(found: Changes, stage: str, limit: float) -> list[str]:
    """Return a line for each artifact whose ``stage`` became slower beyond noise, and by more than ``limit`` (a share).

    Raises InputError if there is nothing to compare.
    """
    if not found.artifacts:
        raise InputError(f"{found.before} and {found.after} have no artifact in common: compare runs of the same files")
    changes = [(artifact.name, artifact.stage(stage)) for artifact in found.artifacts]
    return [
        f"{wording.printable(name)}: {stage} is slower beyond noise, {_times(change.ratio)}; {100 * limit:g} % allowed"
        for name, change in changes
        if change.verdict == "slower" and change.ratio.estimate > 1 + limit
    ]


def _said(change: StageChange) -> str:
    verdict = "no change beyond noise" if change.verdict == "same" else f"{change.verdict} beyond noise"
    return f"{verdict}, {_times(change.ratio)}"


def _times(ratio: Interval) -> str:
    return f"{wording.times(ratio.estimate)} times ({wording.bounds(ratio)}) as long as before"


def _names(found: Changes) -> list[Name]:
    tails = wording.tails([artifact.name for artifact in found.artifacts])
    return [Name(number, wording.printable(tail)) for number, tail in enumerate(tails, 1)]


def _differences(found: Changes) -> Table:
    rows = tuple((wording.printable(each.of), wording.printable(each.what), _known(each.before), _known(each.after))
                 for each in found.differences)  # fmt: skip
    return Table("Not alike", "These differ, too.", ("of", "what", "before", "after"), rows)


def _stages(found: Changes, name: Name) -> Table:
    artifact = found.artifacts[name.number - 1]
    columns = ("stage", "before", "after", "ratio", "interval", "noise up to", "verdict")
    rows: list[Row] = [
        (wording.printable(each.stage), wording.milliseconds(each.before), wording.milliseconds(each.after),
         wording.times(each.ratio.estimate), wording.bounds(each.ratio), wording.percent(each.floor), each.verdict)
        for each in artifact.stages
    ]  # fmt: skip
    if artifact.pq != (None, None):
        rows.append(("PQ", *map(wording.points, artifact.pq), UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN))
    was = "" if artifact.before == artifact.name else f" (was {wording.printable(artifact.before)})"
    note = "Medians in milliseconds; the ratio of typical times with its interval."
    return Table(f"{name.number} {name.text}{was}", note, columns, tuple(rows))


def _known(value: str | None) -> str:
    return UNKNOWN if value is None else wording.printable(value)
