"""Names and numbers as readers see them, the same in every form of a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pem_edge.runtime.benchmark.schema import ArtifactReport, Comparison, Interval, Report
from pem_edge.runtime.plurals import plural

UNKNOWN = "-"
TERMS = {
    "fp32": "FP32 is 32-bit floating point",
    "fp16": "FP16 is 16-bit floating point",
    "int8": "INT8 is 8-bit integers",
    "bf16": "BF16, bfloat16, is 16-bit floating point with the range of FP32, but fewer digits",
    "pq": "PQ, panoptic quality, says how well segments and their classes match the labels, 100 at best",
}
"""Explanations of terms that a reader of the verdict alone may not know."""


@dataclass(frozen=True)
class Name:
    """An artifact's name in a text. ``number`` counts from 1 and stands for it in charts."""

    number: int
    text: str


Cell = str | Name
Words = tuple[Cell, ...]


def names(artifacts: Sequence[ArtifactReport]) -> list[Name]:
    """Return what to call the artifacts, with their numbers."""
    return [Name(i, printable(tail)) for i, tail in enumerate(tails([each.name for each in artifacts]), 1)]


def tails(paths: Sequence[str]) -> list[str]:
    """Return the ends of ``paths``, as few of their parts as tell all of them apart."""
    parts = [path.split("/") for path in paths]
    for count in range(1, max(map(len, parts), default=0)):
        ends = ["/".join(each[-count:]) for each in parts]
        if len({*ends, ""}) > len(ends):
            return ends
    return list(paths)


def printable(text: str) -> str:
    """Return ``text`` in one line, without what could steer a terminal or turn the direction of writing."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


def shortened(text: str, width: int, beginning: int | None = None) -> str:
    """Return ``text`` in at most ``width`` characters, with its beginning, half of them unless given, and its end."""
    if len(text) <= width:
        return text
    head = width // 2 if beginning is None else beginning
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


def shortened_apart(texts: Sequence[str], width: int) -> list[str]:
    """Return ``texts`` in at most ``width`` characters each, without the part that tells the fewest of them apart.

    Of several such parts, that is the one closest to the middle.
    """
    beginnings = sorted(range(width), key=lambda beginning: abs(beginning - width // 2))
    found = ([shortened(text, width, beginning) for text in texts] for beginning in beginnings)
    return max(found, key=lambda shown: len(set(shown)), default=[])


def precision(artifact: ArtifactReport) -> str:
    """Return the precision of an artifact, and the other one that the backend computed in, if it did."""
    named = printable(artifact.precision.upper())
    if not artifact.bf16:
        return named
    return f"{named} with the rest in BF16" if artifact.precision == "int8" else f"{named} computed in BF16"


def title(report: Report) -> str:
    """Return a report's title."""
    named = names(report.artifacts)
    return f"Latency of {named[0].text if len(named) == 1 else plural(len(named), 'artifact')}"


def about(report: Report) -> tuple[str, str]:
    """Return what was measured when, and where, a line each."""
    here = report.machine
    return (
        printable(f"{report.created}, {plural(report.rounds, 'round')}, images: {report.images}"),
        printable(f"{here.cpu}, {here.usable_cores} of {here.cores} cores; GPU: {here.gpu}"),
    )


def plain(words: Words) -> str:
    """Return the words as one text."""
    return "".join(part if isinstance(part, str) else part.text for part in words)


def joined(parts: Sequence[Words | Cell], last: str = " and ") -> Words:
    """Return "a, b and c"."""
    words: list[Cell] = []
    for index, part in enumerate(parts):
        if index:
            words.append(last if index == len(parts) - 1 else ", ")
        words.extend(part if isinstance(part, tuple) else (part,))
    return tuple(words)


def milliseconds(value: float) -> str:
    """Return the value to about three digits, without the unit."""
    digits = 3 if value < 0.1 else 2 if value < 10 else 1 if value < 1000 else 0
    return f"{value:.{digits}f}"


def per_second(value: float) -> str:
    """Return images a second, to about three digits."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def dataset(name: str) -> str:
    """Return a dataset, which is often a folder's name, as one."""
    return f'the dataset "{printable(name)}"'


def percent(share: float | None) -> str:
    """Return a share of 0 to 1 as ``62 %``."""
    return UNKNOWN if share is None else f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"


def points(score: float | None) -> str:
    """Return PQ or mean IoU, in percent."""
    return UNKNOWN if score is None else f"{score:.1f}"


def size(count: float | None) -> str:
    """Return bytes as MiB or GiB."""
    if count is None:
        return UNKNOWN
    return f"{count / 2**20:.1f} MiB" if count < 2**30 else f"{count / 2**30:.2f} GiB"


def giga(value: float | None) -> str:
    """Return the value in units of 1e9, to about three digits."""
    if value is None:
        return UNKNOWN
    scaled = value / 1e9
    return f"{scaled:.2f}" if scaled < 10 else f"{scaled:.1f}" if scaled < 1000 else f"{scaled:.0f}"


def times(ratio: float) -> str:
    """Return a ratio of times: ``1.04``."""
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}"


def bounds(interval: Interval) -> str:
    """Return the ends of an interval: ``1.01 to 1.07``."""
    return f"{times(interval.low)} to {times(interval.high)}"


def against(comparison: Comparison | None) -> tuple[str, str]:
    """Return a ratio with what follows, and its interval: ``1.04 same`` and ``1.01 to 1.07``."""
    if comparison is None:
        return UNKNOWN, UNKNOWN
    return f"{times(comparison.ratio.estimate)} {comparison.verdict}", bounds(comparison.ratio)


def above_limit(doubts: Iterable[str | None]) -> str:
    """Return a sentence for the note of a table on what is above its limit and why, or nothing if nothing is."""
    doubt = next(filter(None, doubts), None)
    return "" if doubt is None else f" Above 100 % is what was {printable(doubt)}."
