"""An evaluation as a table to read, and as a record for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.evaluation.evaluate import Evaluation
from pem_edge.runtime.versioned_json import JsonObject

_HEADER = ("PQ", "SQ", "RQ", "IoU", "TP", "FP", "FN")
_NAME_WIDTH = 24


def record(evaluation: Evaluation, labels: Sequence[Label]) -> JsonObject:
    """Return the scores in percent, None where there is none, and the median time of each stage in milliseconds."""
    quality = evaluation.quality
    return {
        "images": evaluation.images,
        "pq": {"all": quality["all"], "things": quality["things"], "stuff": quality["stuff"]},
        "miou": None if evaluation.iou is None else evaluation.iou["miou"],
        "per_class": [
            {"name": label.name, "isthing": label.isthing, **quality["per_class"][label.id], "iou": iou}
            for label, iou in zip(labels, _ious(evaluation, labels), strict=True)
        ],
        "milliseconds": {stage: round(time, 3) for stage, time in evaluation.milliseconds.items()},
    }


def table(evaluation: Evaluation, labels: Sequence[Label]) -> str:
    """Return a row for all classes, for things and for stuff, one for each class, and a line on the times."""
    scores = record(evaluation, labels)
    classes = scores["per_class"]
    groups = (
        ("All", "all", classes),
        ("Things", "things", [row for row in classes if row["isthing"]]),
        ("Stuff", "stuff", [row for row in classes if not row["isthing"]]),
    )
    lines = [_line("", _HEADER)]
    lines += [_line(title, _cells({**scores["pq"][key], **_summary(members)})) for title, key, members in groups]
    lines += ["-" * len(lines[0])]
    lines += [_line(row["name"], _cells(row)) for row in classes]
    times = ", ".join(f"{stage} {time:.1f} ms" for stage, time in scores["milliseconds"].items())
    return "\n".join([*lines, f"{scores['images']} images, median times: {times}"])


def _ious(evaluation: Evaluation, labels: Sequence[Label]) -> Sequence[float | None]:
    return [None] * len(labels) if evaluation.iou is None else evaluation.iou["per_class"]


def _summary(rows: Sequence[JsonObject]) -> JsonObject:
    """Return the mean IoU and the counts of several classes."""
    ious = [row["iou"] for row in rows if row["iou"] is not None]
    counts = {key: sum(row[key] for row in rows) for key in ("tp", "fp", "fn")}
    return {"iou": sum(ious) / len(ious) if ious else None, **counts}


def _cells(row: JsonObject) -> list[str]:
    percentages = ["-" if row[key] is None else f"{row[key]:.1f}" for key in ("pq", "sq", "rq", "iou")]
    return percentages + [str(row[key]) for key in ("tp", "fp", "fn")]


def _line(name: str, cells: Iterable[str]) -> str:
    return f"{name[:_NAME_WIDTH]:{_NAME_WIDTH}}" + "".join(f"{cell:>7}" for cell in cells)
