"""The scores of an evaluation as a table of text and as a record for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.evaluation.evaluate import Evaluation
from pem_edge.runtime.evaluation.metrics import ClassQuality, Quality
from pem_edge.runtime.plurals import plural

_HEADER = ("PQ", "SQ", "RQ", "IoU", "TP", "FP", "FN")
_NAME_WIDTH = 24


class Scores(ClassQuality):
    """The scores of a class or of a group of classes. ``iou`` is in percent, None if it was not computed."""

    iou: float | None


class ClassRecord(Scores):
    """The scores of a class, with its name and whether it is a thing."""

    name: str
    isthing: bool


class EvaluationRecord(TypedDict):
    """The scores of an evaluation in percent, and ``milliseconds``, the median time of each stage.

    ``pq`` has the keys "all", "things" and "stuff". A score is None if no class has one, or if it was not computed.
    """

    images: int
    pq: Mapping[str, Quality]
    miou: float | None
    per_class: list[ClassRecord]
    milliseconds: Mapping[str, float]


def to_record(evaluation: Evaluation, labels: Sequence[Label]) -> EvaluationRecord:
    """Return the scores and times of an evaluation. ``labels`` are the classes, in order."""
    quality = evaluation.quality
    return {
        "images": evaluation.images,
        "pq": {"all": quality["all"], "things": quality["things"], "stuff": quality["stuff"]},
        "miou": None if evaluation.iou is None else evaluation.iou["miou"],
        "per_class": [
            {"name": label.name, "isthing": label.isthing, **quality["per_class"][label.id], "iou": iou}
            for label, iou in zip(labels, _class_ious(evaluation, labels), strict=True)
        ],
        "milliseconds": {stage: round(time, 3) for stage, time in evaluation.milliseconds.items()},
    }


def format_table(evaluation: Evaluation, labels: Sequence[Label]) -> str:
    """Return a table with a row for all classes, for things, for stuff and for each class, and a line of times.

    It has no columns of what was not computed, except that of the IoU.
    """
    record = to_record(evaluation, labels)
    classes = record["per_class"]
    groups = (
        ("All", "all", classes),
        ("Things", "things", [row for row in classes if row["isthing"]]),
        ("Stuff", "stuff", [row for row in classes if not row["isthing"]]),
    )
    columns = _HEADER if evaluation.panoptic else ("IoU",)
    lines = [_line("", columns)]
    lines += [_line(title, _cells(_summarize(record["pq"][key], rows), columns)) for title, key, rows in groups]
    lines += ["-" * len(lines[0])]
    lines += [_line(row["name"], _cells(row, columns)) for row in classes]
    times = ", ".join(f"{stage} {time:.1f} ms" for stage, time in record["milliseconds"].items())
    return "\n".join([*lines, f"{plural(record['images'], 'image')}, median times: {times}"])


def _class_ious(evaluation: Evaluation, labels: Sequence[Label]) -> Sequence[float | None]:
    return [None] * len(labels) if evaluation.iou is None else evaluation.iou["per_class"]


def _summarize(quality: Quality, rows: Sequence[Scores]) -> Scores:
    """Return the scores of a group of classes: their ``quality``, their mean IoU and the sums of their counts."""
    ious = [row["iou"] for row in rows if row["iou"] is not None]
    return {
        **quality,
        "iou": sum(ious) / len(ious) if ious else None,
        "tp": sum(row["tp"] for row in rows),
        "fp": sum(row["fp"] for row in rows),
        "fn": sum(row["fn"] for row in rows),
    }


def _cells(row: Scores, columns: Iterable[str]) -> list[str]:
    scores = {"PQ": row["pq"], "SQ": row["sq"], "RQ": row["rq"], "IoU": row["iou"]}
    cells = {name: "-" if score is None else f"{score:.1f}" for name, score in scores.items()}
    cells |= {"TP": str(row["tp"]), "FP": str(row["fp"]), "FN": str(row["fn"])}
    return [cells[name] for name in columns]


def _line(name: str, cells: Iterable[str]) -> str:
    return f"{name[:_NAME_WIDTH]:{_NAME_WIDTH}}" + "".join(f"{cell:>7}" for cell in cells)
