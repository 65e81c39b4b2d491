"""Validation of a run: its scores on images that it does not learn from, and what it tells of them."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import msgspec

from pem_edge.pem.model import MaskClassifier
from pem_edge.pem.training.interruption import Overdue
from pem_edge.pem.training.reporting import pictures, progress
from pem_edge.pem.training.reporting.csv_table import CsvTable
from pem_edge.pem.training.reporting.gallery import Gallery
from pem_edge.pem.training.reporting.page import RunPage
from pem_edge.pem.training.reporting.pictures import Comparison
from pem_edge.pem.training.reporting.tensorboard import Board
from pem_edge.pem.training.settings import REPORT
from pem_edge.pem.training.snapshots import Snapshot
from pem_edge.pem.training.validation.best import Best
from pem_edge.pem.training.validation.scores import Scores, score
from pem_edge.pem.training.validation.torch_segmenter import TorchSegmenter
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import Task
from pem_edge.runtime.datasets import representatives
from pem_edge.runtime.datasets.dataset import Dataset, Sample, names_of
from pem_edge.runtime.errors import TrainingError
from pem_edge.runtime.files import make_folder, remove
from pem_edge.runtime.plurals import plural

COLUMNS = ("step", "pq", "sq", "rq", "pq_things", "pq_stuff", "miou", "seconds")
"""Header of validation.csv; the scores are in percent."""

_TABLE = "validation.csv"

_LONGEST_SILENCE = 60.0
"""Seconds of an evaluation after which something is said."""


@dataclass(frozen=True, kw_only=True)
class ValidationSettings:
    """How a run is validated, and what its page says of it.

    Attributes:
        size: Height and width in pixels that images are fitted to.
        task: What the model learns, which decides on the score that counts.
        patience: Number of evaluations without a better score after which training may stop; None for any.
        pictures: Number of images that are drawn at each evaluation.
        title: Title of the page.
        settings: The settings of the run for the page, by name.
        data: What is known of the images for the page, by name.
    """

    size: tuple[int, int]
    task: Task = "panoptic"
    patience: int | None = None
    pictures: int = 4
    title: str = "Training"
    settings: Mapping[str, object] = field(default_factory=dict)
    data: Mapping[str, object] = field(default_factory=dict)


class _State(TypedDict):
    held: str
    latest: Scores | None
    shown: list[int]
    names: list[str]
    best: Snapshot


class Validation:
    """Evaluates a model now and then, and writes validation.csv, pictures and report.html.

    Args:
        dataset: The images for validation, labeled with the model's classes in their order; at least one.
        settings: How to evaluate, and what the page says.
        folder: The folder of the run.
        board: Where figures go, too.

    Attributes:
        best: The best evaluation so far.
        latest: The latest one; None before the first.

    Raises:
        OutputError: If the folder cannot be created.
    """

    def __init__(
        self, dataset: Dataset, settings: ValidationSettings, folder: Path, board: Board | None = None
    ) -> None:
        make_folder(folder)
        self._dataset, self._settings, self._board = dataset, settings, board
        self._table = CsvTable(folder / _TABLE, COLUMNS)
        self._metrics = CsvTable(folder / progress.FILE_NAME, progress.COLUMNS)
        self._gallery, self._page = Gallery(folder), folder / REPORT
        self._shown: list[int] = []
        self._names: list[str] = []
        self.best = Best(settings.task, settings.patience)
        self.latest: Scores | None = None

    @property
    def improved(self) -> bool:
        """Whether the latest evaluation is the best."""
        return self.latest is not None and self.latest is self.best.scores

    def evaluate(self, model: MaskClassifier, step: int, stop: Callable[[], bool] = lambda: False) -> Scores:
        """Evaluate the model after a step, and write what there is to tell.

        Args:
            model: The model, whose mode is the same afterwards.
            step: The number of steps that it has been trained for.
            stop: Asked before each image whether to end at once.

        Raises:
            Overdue: If ``stop`` says so; then nothing is written, and this counts for nothing.
            InputError: If an image cannot be read, likewise.
            BackendError: If the model's outputs cannot be merged, likewise.
            OutputError: If a file cannot be written.
        """
        noting = _Noting(self._dataset)
        segmenter = TorchSegmenter(model, self._dataset.labels, self._settings.size, self._settings.task)
        scores = score(segmenter, noting, step, self._settings.task, self._indices(step, stop))
        shown = self._shown or representatives.choose(noting.classes, self._settings.pictures)
        drawn = list(self._drawn(model, shown, stop))
        self._shown, self.latest = shown, scores
        self.best.add(scores)
        self._note(scores, drawn)
        self.write_page()
        progress.say(self._summary(scores))
        return scores

    def _drawn(self, model: MaskClassifier, shown: Sequence[int], stop: Callable[[], bool]) -> Iterator[Comparison]:
        """Yield the truth and the prediction of the images that are shown. Raises Overdue if ``stop`` says so."""
        for index in shown:
            if stop():
                raise Overdue("stopped during an evaluation")
            sample, classes, settings = self._dataset[index], self._dataset.labels, self._settings
            yield pictures.compared(model, sample, classes, settings.size, settings.task)

    def _note(self, scores: Scores, drawn: Sequence[Comparison]) -> None:
        """Write an evaluation to all places that collect them."""
        step, figures = scores.step, scores.figures()
        self._table.append([step, *("" if figures[name] is None else f"{figures[name]:.4f}" for name in COLUMNS[1:])])
        if self._board is not None:
            self._board.validation(step, figures)
        self._names = [each.name for each in drawn]
        self._gallery.add(step, drawn, f"step {step}", scores.measured(self._settings.task))

    def write_page(self) -> None:
        """Write report.html with what is known by now. Raises OutputError."""
        RunPage(
            title=self._settings.title,
            settings=self._settings.settings,
            data=self._settings.data,
            metrics=self._metrics.rows(),
            validation=self._table.rows(),
            task=self._settings.task,
            best=self.best.scores,
            latest=self.latest,
            images=self._names,
            columns=self._gallery.columns(len(self._names)) if self._names else {},
        ).write(self._page)

    def state(self) -> Snapshot:
        """Return what a resumed run needs to go on as if it had never stopped, for `restore`."""
        return {
            "held": _identity(self._dataset),
            "latest": msgspec.to_builtins(self.latest),
            "shown": self._shown,
            "names": self._names,
            "best": self.best.state(),
        }

    def restore(self, state: Snapshot) -> None:
        """Go on from what `state` returned, and delete what was written later.

        Raises:
            msgspec.ValidationError: If the state is damaged.
            TrainingError: If it is of other images.
            OutputError: If a file cannot be written.
        """
        kept = msgspec.convert(state, _State)
        if kept["held"] != _identity(self._dataset):
            raise TrainingError(
                f"the run to resume is validated on other images ({kept['held']} instead of "
                f"{_identity(self._dataset)}), whose scores do not compare: give the same --val"
            )
        self.best.restore(kept["best"])
        self.latest = self.best.scores if kept["latest"] == self.best.scores else kept["latest"]
        self._shown = kept["shown"] if all(0 <= index < len(self._dataset) for index in kept["shown"]) else []
        self._names = kept["names"] if len(kept["names"]) == len(self._shown) else []
        done = 0 if self.latest is None else self.latest.step
        self._table.truncate(done)
        self._gallery.truncate(done)

    def _indices(self, step: int, stop: Callable[[], bool]) -> Iterator[int]:
        """Yield the indices of all images, and say how far it is if that takes long."""
        spoken, count = time.monotonic(), len(self._dataset)
        for index in range(count):
            if stop():
                raise Overdue("stopped during an evaluation")
            if time.monotonic() - spoken > _LONGEST_SILENCE:
                progress.say(f"evaluation after step {step}: {index} of {plural(count, 'image')}")
                spoken = time.monotonic()
            yield index

    def _summary(self, scores: Scores) -> str:
        images = plural(scores.record["images"], "image")
        best = "the best so far" if self.improved else f"the best is that of step {(self.best.scores or scores).step}"
        return (
            f"step {scores.step}: {scores.measured(self._settings.task)} on {images} in {scores.seconds:.1f} s, {best}"
        )


class _Noting:
    """A dataset that notes the classes of the samples that are read."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.classes: list[frozenset[int]] = [frozenset()] * len(dataset)

    @property
    def labels(self) -> Sequence[Label]:
        return self._dataset.labels

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Sample:
        sample = self._dataset[index]
        self.classes[index] = frozenset(segment.category_id for segment in sample.segments)
        return sample


def delete_outputs(folder: Path) -> None:
    """Delete what the validation of an earlier run has written to ``folder``, and pictures. Raises OutputError."""
    Gallery(folder).truncate(-1)
    remove([folder / _TABLE, folder / REPORT])


def _identity(dataset: Dataset) -> str:
    """Return what tells whether images are the same: their number, and a hash of the names of their files."""
    names = "\n".join(Path(name).name for name in names_of(dataset) or ())
    return f"{plural(len(dataset), 'image')}, {hashlib.sha256(os.fsencode(names)).hexdigest()[:8]}"
