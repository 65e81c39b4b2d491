"""The scores of a model on validation images, and which of them counts."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from pem_edge.pem.training.validation.torch_segmenter import TorchSegmenter
from pem_edge.runtime.artifacts.manifest import Task
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.evaluation.evaluate import evaluate
from pem_edge.runtime.evaluation.table import EvaluationRecord, to_record

MEASURES: dict[Task, str] = {"panoptic": "PQ", "semantic": "mean IoU", "instance": "PQ of things"}
"""The score that counts, by task."""


@dataclass(frozen=True)
class Scores:
    """The scores of a model after a step.

    Attributes:
        step: The step.
        seconds: How long the evaluation took.
        record: The scores, in percent.
    """

    step: int
    seconds: float
    record: EvaluationRecord

    def decisive(self, task: Task) -> float | None:
        """Return the score that counts, in percent; None if truth and predictions have none of its classes."""
        if task == "semantic":
            return self.record["miou"]
        return self.record["pq"]["things" if task == "instance" else "all"]["pq"]

    def measured(self, task: Task) -> str:
        """Return the score that counts with its name, such as "PQ 41.5"."""
        found = self.decisive(task)
        return f"{MEASURES[task]} {'unknown' if found is None else f'{found:.1f}'}"

    def figures(self) -> dict[str, float | None]:
        """Return the scores over all classes, in percent, and the seconds, by the columns of validation.csv."""
        pq = self.record["pq"]
        return {
            "pq": pq["all"]["pq"],
            "sq": pq["all"]["sq"],
            "rq": pq["all"]["rq"],
            "pq_things": pq["things"]["pq"],
            "pq_stuff": pq["stuff"]["pq"],
            "miou": self.record["miou"],
            "seconds": self.seconds,
        }


def score(
    segmenter: TorchSegmenter, dataset: Dataset, step: int, task: Task, indices: Iterable[int] | None = None
) -> Scores:
    """Score a model on ``dataset``, labeled with its classes: its PQ unless the task is semantic, and its mean IoU.

    Args:
        segmenter: The model.
        dataset: The images.
        step: The step after which it is scored.
        task: What it learns. There is no mean IoU of instances, which leave most pixels without a class.
        indices: Indices of the images to score; None for all. Whatever iterating raises ends the evaluation.

    Raises:
        InputError: If an image cannot be read.
        BackendError: If the model's outputs cannot be merged.
    """
    started = time.perf_counter()
    found = evaluate(segmenter, dataset, indices, semantic=task != "instance", panoptic=task != "semantic")
    return Scores(step, time.perf_counter() - started, to_record(found, dataset.labels))
