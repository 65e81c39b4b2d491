"""A report's figures as tables, each with a row an artifact and what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pem_edge.runtime.benchmark.report import wording
from pem_edge.runtime.benchmark.report.wording import UNKNOWN, Cell
from pem_edge.runtime.benchmark.schema import ArtifactReport, Comparison, Report, Times

Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """``title`` and, in a sentence, what is to be known to read it; the first cell of each row is the row's heading."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def known(self) -> bool:
        """Whether it says anything."""
        return any(cell != UNKNOWN for row in self.rows for cell in row[1:])

    def numeric(self, column: int) -> bool:
        """Return whether a column is of numbers, which are aligned on the right."""
        cells = [row[column] for row in self.rows]
        return all(isinstance(cell, str) and (cell == UNKNOWN or cell[:1].isdecimal()) for cell in cells)


def main(report: Report) -> list[Table]:
    """Return the tables that compare the artifacts, those left out of which nothing is known."""
    makers = (overview, stages, throughput, camera, rates, resources, accuracy)
    return [table for maker in makers if (table := maker(report)).known]


def overview(report: Report) -> Table:
    """Return latency, rate and the comparison with the first."""
    several = len(report.artifacts) > 1

    def row(artifact: ArtifactReport) -> Row:
        total = artifact.stages["total"]
        p50, *tail = percentiles(total)
        verdict, interval = wording.against(comparison(report, artifact.name))
        figures = (*tail, wording.per_second(artifact.fps), variation(total))
        return (p50, verdict, *figures, interval) if several else (p50, *figures)

    confidence = next((f"{100 * c.ratio.confidence:g} %" for c in report.comparisons), "")
    against = f" Against 1: time divided by that of artifact 1, below 1 is faster; its {confidence} interval is last."
    note = (
        "Milliseconds per image, from picture to map. p50 is the median; one image in ten takes longer than p90, one "
        "in a hundred longer than p99. FPS: images per second, here by the mean, to which slow ones count more. CV, "
        "the coefficient of variation: standard deviation over mean, ! if noisy."
    )
    figures = ("p90", "p99", "mean FPS", "CV")
    columns = ("artifact", "p50", *(("against 1", *figures, "interval") if several else figures))
    return by_artifact(report, "Latency", note + (against if several and confidence else ""), columns, row)


def stages(report: Report) -> Table:
    """Return the median of each stage."""
    found = stage_names(report)

    def row(artifact: ArtifactReport) -> Row:
        return tuple(median(artifact.stages.get(stage)) for stage in found)

    return by_artifact(report, "Stages", "Medians in milliseconds.", ("artifact", *found), row)


def throughput(report: Report) -> Table:
    """Return the rates of one caller, of several, and of images that are all there."""
    columns = ("artifact", "FPS of one", "callers", "FPS", "p50", "p99", "batch", "FPS of all")

    def row(artifact: ArtifactReport) -> Row:
        several, offline = artifact.scenarios.multi_stream, artifact.scenarios.offline
        one = artifact.scenarios.fps if several or offline else None
        latency = several and (wording.milliseconds(several.latency.p50), wording.milliseconds(several.latency.p99))
        return (
            UNKNOWN if one is None else wording.per_second(one),
            *((str(several.streams), wording.per_second(several.fps)) if several else (UNKNOWN,) * 2),
            *(latency or (UNKNOWN,) * 2),
            *((str(offline.batch), wording.per_second(offline.fps)) if offline else (UNKNOWN,) * 2),
        )

    note = (
        "Images per second, of decoded pictures: one after another; then of several callers at once, each waiting for "
        "its result, with its latency in milliseconds; then with all images there from the start, in batches, or with "
        "overlapping stages where the batch is 1. Artifacts and scenarios took turns."
    )
    return by_artifact(report, "Throughput", note, columns, row)


def camera(report: Report) -> Table:
    """Return what became of the frames of a camera that does not wait."""
    columns = ("artifact", "FPS", "frames", "dropped", "share", "age p50", "age p90", "age p99")

    def row(artifact: ArtifactReport) -> Row:
        found = artifact.scenarios.camera
        if found is None:
            return (UNKNOWN,) * (len(columns) - 1)
        share = wording.percent(found.dropped / max(1, found.frames))
        return (wording.per_second(found.fps), str(found.frames), str(found.dropped), share, *percentiles(found.age))

    note = (
        "A camera that does not wait: frames that were dropped, and results' age in milliseconds since their capture. "
        "Artifacts and scenarios took turns."
    )
    return by_artifact(report, "Camera", note, columns, row)


def resources(report: Report) -> Table:
    """Return memory and cold start."""
    columns = ("artifact", "file", "host", "device", "import", "load", "first", "cold start")

    def row(artifact: ArtifactReport) -> Row:
        memory, cold = artifact.memory, artifact.cold_start
        parts = (None,) * 4 if cold is None else (cold.imports, cold.load, cold.first, cold.total)
        return (
            wording.size(artifact.file_bytes),
            wording.size(memory.host if memory else None),
            wording.size(memory.device if memory else None),
            *(median(part) for part in parts),
        )

    note = (
        "Peak memory of one image after another, without what several at once take: for overlapping stages, ONNX "
        "Runtime on a CPU loads the model once more. Medians in milliseconds from the start of a process to its first "
        "result."
    )
    return by_artifact(report, "Memory and cold start", note, columns, row)


def rates(report: Report) -> Table:
    """Return how close inference comes to what the machine can do."""
    columns = ("artifact", "GMAC", "GMAC/s", "conv.", "matrix", "limit", "reached", "traffic", "GB/s")

    def row(artifact: ArtifactReport) -> Row:
        rate = artifact.rate
        if rate is None:
            return (UNKNOWN,) * (len(columns) - 1)
        return (
            wording.giga(rate.macs),
            wording.giga(rate.reached),
            wording.giga(rate.convolution),
            wording.giga(rate.matrix),
            UNKNOWN if rate.limit is None else wording.milliseconds(rate.limit),
            UNKNOWN if rate.limit is None else wording.percent(rate.fraction),
            wording.size(rate.bytes_moved),
            wording.giga(rate.bandwidth),
        )

    note = (
        "GMAC: billions of multiply-accumulates per image, and per second, then those of the fastest convolution and "
        "matrix product here. Limit: the least milliseconds in which this machine can compute and move what the nodes "
        "must; reached: limit over the time of inference. Traffic: of memory, at most; GB/s: the memory's bandwidth."
    )
    note += wording.above_limit(artifact.rate.doubt for artifact in report.artifacts if artifact.rate)
    return by_artifact(report, "How close to the machine", note, columns, row)


def accuracy(report: Report) -> Table:
    """Return PQ and mean IoU."""
    columns = ("artifact", "PQ", "things", "stuff", "mean IoU", "images")

    def row(artifact: ArtifactReport) -> Row:
        found = artifact.accuracy
        if found is None:
            return (UNKNOWN,) * (len(columns) - 1)
        return (*map(wording.points, (found.pq, found.pq_things, found.pq_stuff, found.miou)), str(found.images))

    datasets = dict.fromkeys(wording.dataset(a.accuracy.dataset) for a in report.artifacts if a.accuracy)
    note = f"PQ (panoptic quality) and mean IoU, 100 at best, on {', '.join(datasets)}."
    return by_artifact(report, "Accuracy", note, columns, row)


def comparison(report: Report, model: str, stage: str = "total") -> Comparison | None:
    """Return the comparison of ``model`` with the first artifact."""
    return next((found for found in report.comparisons if (found.model, found.stage) == (model, stage)), None)


def stage_names(report: Report) -> tuple[str, ...]:
    """Return the stages of any artifact in the order they happen, "total" last."""
    found = dict.fromkeys(stage for artifact in report.artifacts for stage, _ in ordered(artifact.stages))
    return (*(stage for stage in found if stage != "total"), "total")


def ordered(stages: dict[str, Times]) -> Iterator[tuple[str, Times]]:
    """Yield the stages as they are, "total" last."""
    yield from (item for item in stages.items() if item[0] != "total")
    yield "total", stages["total"]


def variation(times: Times) -> str:
    """Return the coefficient of variation, with ! if it is too large to trust the times."""
    return f"{wording.percent(times.cv)}{' !' if times.noisy else ''}"


def percentiles(found: Times) -> tuple[str, str, str]:
    """Return the 50th, 90th and 99th percentile in words."""
    return wording.milliseconds(found.p50), wording.milliseconds(found.p90), wording.milliseconds(found.p99)


def median(found: Times | None) -> str:
    """Return the median in words, "" if there is none."""
    return UNKNOWN if found is None else wording.milliseconds(found.p50)


def by_artifact(
    report: Report, title: str, note: str, columns: tuple[str, ...], row: Callable[[ArtifactReport], Row]
) -> Table:
    """Return a table with a row for each artifact."""
    named = zip(wording.names(report.artifacts), report.artifacts, strict=True)
    return Table(title, note, columns, tuple((name, *row(artifact)) for name, artifact in named))
