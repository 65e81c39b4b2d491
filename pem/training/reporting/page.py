"""The page of a run: curves, scores of classes, settings, and the same images through time; it needs nothing else."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from pem_edge.pem.training.reporting import curves
from pem_edge.pem.training.validation.scores import MEASURES, Scores
from pem_edge.runtime.artifacts.manifest import Task
from pem_edge.runtime.benchmark.report.html import colors, document
from pem_edge.runtime.benchmark.report.html.element import Markup, tag
from pem_edge.runtime.benchmark.report.tables import Table
from pem_edge.runtime.benchmark.report.wording import points
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.files import write_atomically
from pem_edge.runtime.outside.printable import printable
from pem_edge.runtime.outside.reading import read_bytes
from pem_edge.runtime.plurals import plural

_LARGEST_PICTURE = 200_000
_LOSSES = {"loss": "all", "class": "class", "mask": "mask", "dice": "Dice"}
_RATES = {"learning_rate": "learning rate"}
_SCORES = {"pq": "PQ", "pq_things": "PQ of things", "pq_stuff": "PQ of stuff", "miou": "mean IoU"}
_EARLY = "Figures of the first tenth that are above all later ones are drawn at the upper edge."


@dataclass(frozen=True)
class RunPage:
    """What the page of a run shows.

    Attributes:
        title: Its title, such as "Training of pem-r50".
        settings: The settings of the run, by name.
        data: What is known of the images, by name.
        metrics: The rows of metrics.csv.
        validation: The rows of validation.csv.
        task: What the model learns.
        best: The best evaluation; None if there was none.
        latest: The latest one.
        images: The names of the images shown.
        columns: Files of small pictures of these, by the titles of their columns.
    """

    title: str
    settings: Mapping[str, object]
    data: Mapping[str, object]
    metrics: Sequence[dict[str, float]]
    validation: Sequence[dict[str, float]] = ()
    task: Task = "panoptic"
    best: Scores | None = None
    latest: Scores | None = None
    images: Sequence[str] = ()
    columns: Mapping[str, Sequence[Path]] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the page. Raises OutputError."""
        with write_atomically(path) as temporary:
            temporary.write_text(self.html(), "utf-8")

    def html(self) -> str:
        """Return the page."""
        title = printable(self.title)
        sections = (*self._curves(), *self._pictures(), *self._classes(), *self._facts())
        css = f"{colors.styles()}\n{(files('pem_edge.pem.training.reporting') / 'page.css').read_text('utf-8')}"
        return document.page(title, tag("main", self._header(title), *sections), css=css)

    def _header(self, title: str) -> Markup:
        return tag("header", tag("h1", title), tag("p", self._verdict(), class_="verdict"))

    def _verdict(self) -> str:
        if self.best is None or self.latest is None:
            return "No evaluation yet."
        measure, images = MEASURES[self.task], plural(self.latest.record["images"], "image")
        best, latest = (points(scores.decisive(self.task)) for scores in (self.best, self.latest))
        if self.best.step == self.latest.step:
            return f"{measure} {best} on {images} after step {self.best.step}, the best so far."
        return f"{measure} {best} on {images} after step {self.best.step}, the best; {latest} after {self.latest.step}."

    def _curves(self) -> Iterator[Markup]:
        best = None if self.best is None else self.best.step
        scored = f"On the images for validation, 100 at best. The dashed line: the best {MEASURES[self.task]}."
        charts = (
            ("Scores", scored, self.validation, _SCORES, best),
            ("Losses", f"Weighted, on the images that are trained on. {_EARLY}", self.metrics, _LOSSES, None),
            ("Learning rate", "That of all but the backbone.", self.metrics, _RATES, None),
        )
        for title, note, rows, columns, marked in charts:
            if found := curves.curves_of(rows, columns):
                yield document.section(title, curves.chart(title, note, found, best=marked))

    def _pictures(self) -> Iterator[Markup]:
        if not self.columns:
            return
        head = tag("tr", *(tag("th", text, scope="col") for text in ("image", *self.columns)))
        rows = (tag("tr", *self._row(index, printable(name))) for index, name in enumerate(self.images))
        content = tag("table", tag("caption", "Pictures"), tag("thead", head), tag("tbody", *rows), class_="pictures")
        frame = tag("div", content, class_="scroll", role="region", aria_label="Pictures", tabindex="0")
        yield document.section("Pictures", tag("p", "The same images through time.", class_="note"), frame)

    def _row(self, index: int, name: str) -> Iterator[Markup]:
        yield tag("th", name, scope="row")
        for title, paths in self.columns.items():
            yield tag("td", *_picture(paths[index], f"{name}, {title}"))

    def _classes(self) -> Iterator[Markup]:
        if self.best is None or self.latest is None:
            return
        shown = {f"Best, after step {self.best.step}": self.best}
        if self.latest.step != self.best.step:
            shown[f"Latest, after step {self.latest.step}"] = self.latest
        for title, scores in shown.items():
            yield document.section(title, document.table(_by_class(title, scores), "named"))

    def _facts(self) -> Iterator[Markup]:
        for title, facts in (("Data", self.data), ("Settings", self.settings)):
            if facts:
                rows = tuple((printable(name), printable(str(value))) for name, value in facts.items())
                yield document.section(title, document.table(Table(title, "", ("", "value"), rows)))


def _by_class(title: str, scores: Scores) -> Table:
    rows = tuple(
        (
            printable(each["name"]),
            "thing" if each["isthing"] else "stuff",
            *(points(figure) for figure in (each["pq"], each["sq"], each["rq"], each["iou"])),
        )
        for each in scores.record["per_class"]
    )
    note = "In percent; a class that neither truth nor predictions have has no score."
    return Table(title, note, ("class", "kind", "PQ", "SQ", "RQ", "IoU"), rows)


def _picture(path: Path, text: str) -> Iterator[Markup]:
    """Yield the picture in a file, unless there is none any more."""
    with suppress(InputError):
        data = read_bytes(path, InputError, limit=_LARGEST_PICTURE, expected="a small picture", cure="train again")
        yield tag("img", src=f"data:image/jpeg;base64,{b64encode(data).decode()}", alt=text)
