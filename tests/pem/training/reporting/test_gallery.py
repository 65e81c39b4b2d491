"""The pictures of a run: a page shows few of their times, evenly spaced, and none of steps that are undone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pem_edge.pem.training.reporting import gallery, pictures
from pem_edge.pem.training.reporting.gallery import Gallery
from pem_edge.pem.training.reporting.pictures import Comparison
from pem_edge.runtime.datasets.dataset import Sample, TrueSegment
from tests.helpers.boxes import LABELS, Boxes
from tests.helpers.tiny import TINY


@pytest.fixture(scope="module")
def comparisons() -> list[Comparison]:
    model = TINY.build(len(LABELS)).eval()
    return [pictures.compared(model, Boxes()[index], LABELS, (64, 64)) for index in (2, 5)]


@given(st.sets(st.integers(0, 10_000)), st.integers(2, 8))
def test_the_first_and_the_latest_column_stay(steps: set[int], most: int) -> None:
    rising = sorted(steps)
    kept = gallery.thinned(rising, most)
    assert len(kept) == min(len(rising), most)
    assert kept == sorted(set(kept) & steps)
    if rising:
        assert {rising[0], rising[-1]} <= {*kept}


def test_a_resumed_run_has_no_pictures_of_later_steps(comparisons: list[Comparison], tmp_path: Path) -> None:
    shown = Gallery(tmp_path)
    for step in (5, 10, 15):
        shown.add(step, comparisons, f"step {step}")
    assert list(shown.columns(2)) == ["truth", "step 5", "step 10", "step 15"]
    assert all(path.is_file() for paths in shown.columns(2).values() for path in paths)
    sheet = cv2.imread(str(tmp_path / "pictures" / "step-000010.png"))
    assert sheet is not None
    assert sheet.shape[1] == 2 * 64 + 8
    assert sheet.shape[0] > 2 * 64
    shown.truncate(10)
    assert list(shown.columns(2)) == ["truth", "step 5", "step 10"]
    assert not (tmp_path / "pictures" / "step-000015.png").exists()
    shown.truncate(-1)
    assert [path for path in (tmp_path / "pictures").rglob("*") if path.is_file()] == []


def test_large_images_are_drawn_smaller_and_keep_their_regions() -> None:
    image = np.full((1500, 3000, 3), 90, np.uint8)
    panoptic = np.ones((1500, 3000), np.int32)
    panoptic[300:600, 900:1500], panoptic[0, 0] = 2, 3
    sample = Sample("a.png", image, panoptic, [TrueSegment(1, 0), TrueSegment(2, 1), TrueSegment(3, 2)])
    found = pictures.compared(TINY.build(len(LABELS)).eval(), sample, LABELS, (64, 128))
    assert found.image.shape == (512, 1024, 3)
    box = next(each for each in found.truth.segments if each.label == "box")
    assert box.bbox == pytest.approx((307, 102, 205, 103), abs=1)
    assert box.area == pytest.approx(205 * 103, rel=0.02)
    assert {each.label for each in found.truth.segments} <= {"ground", "box", "bar"}
    assert all(picture.shape == (128, 256, 3) for picture in found.small(256).values())
