"""The page of a run needs nothing else, obeys no name, and shows what the tables have."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from pem_edge.pem.training.reporting import curves, progress
from pem_edge.pem.training.reporting.page import RunPage
from pem_edge.pem.training.validation.scores import Scores
from pem_edge.runtime.evaluation.metrics import Quality
from pem_edge.runtime.evaluation.table import ClassRecord
from tests.helpers import browser

HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J\u202e\"'&</td><script>alert(2)</script>"
METRICS = [dict.fromkeys(progress.COLUMNS, 10 / step) | {"step": step} for step in range(1, 2001)]


def scores(step: int, pq: float | None, name: str = HOSTILE) -> Scores:
    quality: Quality = {"pq": pq, "sq": pq, "rq": pq}
    row: ClassRecord = {"name": name, "isthing": True, "pq": pq, "sq": 61.25, "rq": None, "tp": 1, "fp": 2, "fn": 3,
                        "iou": 33.3}  # fmt: skip
    pqs = {"all": quality, "things": quality, "stuff": quality}
    return Scores(step, 2.0, {"images": 5, "pq": pqs, "miou": 44.0, "per_class": [row], "milliseconds": {}})


@pytest.fixture
def page(tmp_path: Path) -> RunPage:
    cv2.imwrite(str(tmp_path / "1.jpg"), np.full((64, 128, 3), 99, np.uint8))
    return RunPage(
        title=f"Training of {HOSTILE}",
        settings={"steps": 90_000, HOSTILE: HOSTILE},
        data={"images to train on": 600},
        metrics=METRICS,
        validation=[{"step": step, "pq": step / 50.0, "miou": 40.0} for step in (500, 1000, 1500, 2000)],
        best=scores(1500, 30.0),
        latest=scores(2000, 29.0),
        images=[HOSTILE],
        columns={"truth": [tmp_path / "1.jpg"], "step 500": [tmp_path / "missing.jpg"]},
    )


class Tags(HTMLParser):
    """The tags and attributes of a page, which must be closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_names_stay_text_and_nothing_is_fetched(page: RunPage) -> None:
    html = page.html()
    tags = Tags(html).seen
    assert {tag for tag, _ in tags} & {"script", "iframe", "object", "form", "a"} == set()
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)
    (picture,) = [attributes for tag, attributes in tags if tag == "img"]
    assert (picture["src"] or "").startswith("data:image/jpeg;base64,/9j/")
    assert not re.search(r"https?:|url\(|@import|file:", html)
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert html.count("&lt;img src=x onerror=alert(1)&gt;") > 4


def test_scores_of_the_best_and_the_latest_are_in_words_and_tables(page: RunPage) -> None:
    html = page.html()
    assert "PQ 30.0 on 5 images after step 1500, the best; 29.0 after 2000." in html
    for cell in ("61.2", "33.3", "30.0", "29.0", "90000", "images to train on", "best, after step 1500"):
        assert cell in html
    for title in ("Scores", "Losses", "Learning rate", "Pictures", "Best, after step 1500", "Latest, after step 2000"):
        assert f"<h2>{title}</h2>" in html


def test_a_run_without_validation_has_a_page_too(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    RunPage("Training", {}, {}, METRICS).write(path)
    html = path.read_text("utf-8")
    Tags(html)
    assert "No evaluation yet" in html
    assert "<h2>Scores</h2>" not in html
    assert "<h2>Losses</h2>" in html
    Tags(RunPage("Training", {}, {}, []).html())
    assert "PQ - on 5 images" in RunPage("Training", {}, {}, [], best=(s := scores(1, None)), latest=s).html()


def test_long_curves_have_few_points_and_keep_their_means() -> None:
    (curve,) = curves.curves_of(METRICS, {"loss": "all"})
    drawn = str(curves.chart("Losses", "", [curve]))
    assert len(drawn) < 20_000
    path = re.search(r'd="M([^"]+)"', drawn)
    assert path is not None
    points = [[float(figure) for figure in point.split()] for point in path[1].split("L")]
    assert 200 < len(points) <= 400
    assert points[-1][0] == 1000
    assert all(0 <= figure <= 1000 for point in points for figure in point)


def test_a_page_in_a_browser_fits_and_asks_for_nothing(page: RunPage, tmp_path: Path) -> None:
    if reason := browser.missing():
        pytest.skip(reason)
    page.write(tmp_path / "report.html")
    with browser.Browser() as chromium:
        for width, dark in ((1280, False), (1280, True), (390, False)):
            opened = chromium.open(tmp_path / "report.html", width, dark=dark)
            assert (opened.overflow, opened.requests) == (0, [])
            assert "after step 1500" in opened.text
