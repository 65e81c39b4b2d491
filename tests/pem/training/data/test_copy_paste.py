"""Things are copied with their masks; what they cover is gone, and nothing but things is ever copied."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pem_edge.pem.training.data import copy_paste
from pem_edge.pem.training.data.copy_paste import paste
from pem_edge.pem.training.data.numbered_views import NumberedViews
from pem_edge.pem.training.data.views import NO_SEGMENT, View, random_view
from pem_edge.pem.training.settings import TrainingSettings
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.dataset import Sample, TrueSegment
from tests.helpers.boxes import Boxes

STUFF, THING = 0, 3
SETTINGS = TrainingSettings(size=(64, 64), scale=(0.1, 2.0), augmentations=("copy-paste",))


def view(segment_map: NDArray[np.int16], classes: list[int], color: int) -> View:
    """Return a view whose colors tell whose pixels are: red the view, green the segment."""
    image = np.zeros((*segment_map.shape, 3), np.uint8)
    image[..., 0], image[..., 1] = color, segment_map + 1
    return View(image, segment_map, np.array(classes, np.int64))


def random_segments(seed: int, count: int) -> View:
    """Return a view of rectangles over each other, some of which may be hidden, and void between."""
    random = np.random.default_rng(seed)
    segment_map = np.full((16, 20), NO_SEGMENT, np.int16)
    for number in range(count):
        y, x = random.integers(0, (12, 14))
        segment_map[y : y + random.integers(1, 9), x : x + random.integers(1, 12)] = number
    present = np.unique(segment_map[segment_map >= 0])
    numbered = np.where(segment_map < 0, NO_SEGMENT, np.searchsorted(present, segment_map)).astype(np.int16)
    return view(numbered, random.choice([STUFF, THING], len(present)).tolist(), 0)


@given(seed=st.integers(0, 10_000), below=st.integers(0, 6), above=st.integers(0, 6))
def test_pixels_and_truth_are_copied_together(seed: int, below: int, above: int) -> None:
    one, other = random_segments(seed, below), random_segments(seed + 1, above)
    other = replace(other, image=other.image + np.array([9, 0, 0], np.uint8))
    pasted = paste(one, other, {THING}, np.random.default_rng(seed))
    assert set(np.unique(pasted.segment_map)) - {NO_SEGMENT} == set(range(len(pasted.classes)))
    for number, category in enumerate(pasted.classes.tolist()):
        origin, segment, _ = np.unique(pasted.image[pasted.segment_map == number], axis=0)[0].astype(int)
        assert (pasted.image[pasted.segment_map == number] == (origin, segment, 0)).all(), "one segment of one view"
        source = other if origin == 9 else one
        assert source.classes[segment - 1] == category
        if origin == 9:
            assert category == THING
            assert ((pasted.segment_map == number) == (other.segment_map == segment - 1)).all(), "the whole thing"


@pytest.mark.parametrize(("covered", "left"), [(94, True), (96, False), (100, False)])
def test_a_segment_that_is_nearly_covered_becomes_void(
    covered: int, left: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy_paste, "_CHOSEN", 1.0)
    below, above = np.ones((10, 20), np.int16), np.full((10, 20), NO_SEGMENT, np.int16)
    below[:, :10] = 0
    above[:, :10].flat[:covered] = 0
    pasted = paste(view(below, [THING, STUFF], 0), view(above, [THING], 9), {THING}, np.random.default_rng(0))
    assert pasted.classes.tolist() == ([THING] if left else []) + [STUFF, THING]
    assert (pasted.segment_map == NO_SEGMENT).sum() == (0 if left else 100 - covered)


def test_stuff_is_not_copied_and_void_covers_nothing() -> None:
    one, other = random_segments(1, 4), random_segments(2, 4)
    same = paste(one, replace(other, classes=np.full_like(other.classes, STUFF)), {THING}, np.random.default_rng(0))
    assert all(np.array_equal(getattr(one, name), getattr(same, name)) for name in vars(one))


def test_crowds_are_no_things_to_copy() -> None:
    panoptic = np.ones((8, 8), np.int32)
    crowd = Sample("crowd", np.zeros((8, 8, 3), np.uint8), panoptic, [TrueSegment(1, THING, iscrowd=True)])
    empty = random_view(crowd, (8, 8), (1.0, 1.0), np.random.default_rng(0))
    assert len(paste(empty, empty, {THING}, np.random.default_rng(0)).classes) == 0


def things(made: NumberedViews) -> list[int]:
    return [int((made[number].classes > 0).sum()) for number in range(40)]


def test_about_half_of_the_views_get_more_things() -> None:
    plain = things(NumberedViews(Boxes(5), replace(SETTINGS, augmentations=())))
    richer = things(NumberedViews(Boxes(5), SETTINGS))
    more = sum(new > old for new, old in zip(richer, plain, strict=True))
    assert 6 < more < 26
    assert sum(richer) > 1.2 * sum(plain)


def test_one_image_is_enough() -> None:
    assert sum(things(NumberedViews(Boxes(1), SETTINGS))) > 0


def test_a_dataset_without_things_costs_no_second_image() -> None:
    class Counted(Boxes):
        reads = 0

        def __getitem__(self, index: int) -> Sample:
            self.reads += 1
            return super().__getitem__(index)

    flat = Counted(5, [Label(i, name, False, (0, 0, 0)) for i, name in enumerate(("ground", "box", "bar"))])
    made = NumberedViews(flat, SETTINGS)
    for number in range(20):
        made[number]
    assert flat.reads == 20
