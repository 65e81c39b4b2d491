"""Describes a result of ``pem-run``: in a line, or as a record for JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from pem_edge.runtime import backends
from pem_edge.runtime.artifacts.manifest import Task
from pem_edge.runtime.cli.running.reasons import Emptiness
from pem_edge.runtime.inference.backend import SegmenterBackend
from pem_edge.runtime.outside.printable import storable
from pem_edge.runtime.plurals import plural
from pem_edge.runtime.results.exchange.records import LISTS
from pem_edge.runtime.results.exchange.records import describe as describe_region
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.results.segments import Instance, Segment
from pem_edge.runtime.versioned_json import JsonObject

_MAX_LABELS = 5

_TIMES = "\N{MULTIPLICATION SIGN}"
"""Between a number and a class, whose names have plurals of their own, in any language."""

_NOUNS: Mapping[Task, str] = {"panoptic": "segment", "semantic": "class", "instance": "instance"}


def describe(result: Result, emptiness: Emptiness | None) -> str:
    """Describe a result in one line: how much it found, of which classes, or why nothing, and the time."""
    largest = sorted(regions_of(result), key=lambda region: region.area, reverse=True)
    counts = Counter(region.label for region in largest)
    shown = [label if count == 1 else f"{count} {_TIMES} {label}" for label, count in counts.items()][:_MAX_LABELS]
    more = [f"{len(counts) - len(shown)} more"] if len(counts) > len(shown) else []
    details = f" ({', '.join(shown + more) if emptiness is None else emptiness.reason})"
    number = plural(len(largest), _NOUNS[result.task], LISTS[result.task][0])
    return f"{result.name}: {number}{details}, {sum(result.milliseconds.values()):.1f} ms"


def regions_of(result: Result) -> Sequence[Segment | Instance]:
    """Return what a result has found: its segments, classes or confident instances."""
    return result.confident_instances if result.task == "instance" else result.regions().segments


def version_of(backend: SegmenterBackend) -> str | None:
    """Return the version of a backend's library; None if it is none of this package."""
    return backends.version(backend.name) if backend.name in backends.BACKENDS else None


def make_record(result: Result, paths: Mapping[str, Path], source: str | None) -> JsonObject:
    """Return the record of a result: "segments", "classes" or "instances", files by kind, and the times.

    Args:
        result: The result.
        paths: The saved files, by kind.
        source: The name of the video, camera or stream that the image is of; None if it is none of these.
    """
    regions = result.saved_segments if result.task == "panoptic" else regions_of(result)
    return {
        **identify(result.name, source),
        "task": result.task,
        "time": result.time,
        LISTS[result.task][0]: [describe_region(region, result.task) for region in regions],
        **{kind: _text(paths.get(kind)) for kind in ("overlay", "panoptic", "semantic")},
        "milliseconds": {stage: round(time, 3) for stage, time in result.milliseconds.items()},
    }


def identify(image: str | None, source: str | None) -> JsonObject:
    """Return which image a record is about: its name, None if it is about a whole source; and the source's name."""
    return {"image": None if image is None else storable(image), "source": None if source is None else storable(source)}


def _text(path: Path | None) -> str | None:
    return None if path is None else storable(str(path))
