"""Pictures keep their shape, show what was found and nothing else, and no size or name breaks them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import Thresholds
from pem_edge.runtime.inference import postprocess
from pem_edge.runtime.results import drawing
from pem_edge.runtime.results.segments import Segment, add_labels, bounding_box
from reference.synthetic import synthetic

CITYSCAPES = labels.load("cityscapes")
ROAD, CAR = 0, 13


def segmented(size: tuple[int, int], seed: int = 0) -> tuple[NDArray[np.int32], list[Segment]]:
    """Return a panoptic map of that size, and its segments."""
    logits, masks = synthetic().predictions(19, 16, 24, seed=seed)
    geometry = Geometry((64, 96), (64, 96), size)
    panoptic, segments = postprocess.merge(logits, masks, geometry, labels.things(CITYSCAPES), Thresholds())
    return panoptic, add_labels(segments, CITYSCAPES)


def segment(segment_id: int, category: int, box: tuple[int, int, int, int]) -> Segment:
    label = CITYSCAPES[category]
    return Segment(segment_id, category, label.name, label.isthing, 0.9, box[2] * box[3], box)


def two_halves(category: int, size: tuple[int, int] = (80, 80)) -> tuple[NDArray[np.int32], list[Segment]]:
    """Left and right half of one class, too small for text."""
    height, width = size
    panoptic = np.repeat([[1] * (width // 2) + [2] * (width // 2)], height, axis=0).astype(np.int32)
    boxes = [(0, 0, width // 2, height), (width // 2, 0, width // 2, height)]
    return panoptic, [segment(i + 1, category, box) for i, box in enumerate(boxes)]


@settings(deadline=None, max_examples=40)
@given(st.tuples(st.integers(1, 400), st.integers(1, 400)), st.integers(0, 50))
def test_any_size_can_be_drawn(size: tuple[int, int], seed: int) -> None:
    image = np.full((*size, 3), 100, np.uint8)
    picture = drawing.draw(image, *segmented(size, seed), CITYSCAPES)
    assert picture.dtype == np.uint8
    assert picture.shape[1:] == image.shape[1:]
    assert image.shape[0] <= picture.shape[0] <= 1.6 * image.shape[0]
    assert (image == 100).all()  # the input is left as it was


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (1, 500), (500, 1)])
def test_slivers_are_colored_too(size: tuple[int, int]) -> None:
    image = np.zeros((*size, 3), np.uint8)
    panoptic = np.ones(size, np.int32)
    picture = drawing.draw(image, panoptic, [segment(1, ROAD, (0, 0, size[1], size[0]))], CITYSCAPES, opacity=1)
    assert (picture == CITYSCAPES[ROAD].color).all()


def test_an_image_changes_only_where_there_is_something_to_show() -> None:
    image = synthetic().image(512, 512)
    nothing = drawing.draw(image, np.zeros(image.shape[:2], np.int32), [], CITYSCAPES)
    np.testing.assert_array_equal(nothing, image)
    panoptic, segments = segmented((512, 512))
    drawn = drawing.draw(image, panoptic, segments, CITYSCAPES)[:512]
    assert (drawn != image).any(axis=2)[panoptic > 0].mean() > 0.9


def test_void_and_ids_of_no_segment_show_the_image() -> None:
    image = np.full((60, 80, 3), 50, np.uint8)
    panoptic = np.zeros((60, 80), np.int32)
    panoptic[10:20], panoptic[30:40] = 1, 7
    picture = drawing.draw(image, panoptic, [segment(1, ROAD, (0, 10, 80, 10))], CITYSCAPES)
    changed = (picture[:60] != image).any(axis=(1, 2))
    assert changed[10:20].all()
    assert not changed[:10].any()
    assert not changed[20:].any()


def test_stuff_of_a_class_has_one_color_and_things_differ() -> None:
    image = np.zeros((80, 80, 3), np.uint8)
    road = drawing.draw(image, *two_halves(ROAD), CITYSCAPES)
    cars = drawing.draw(image, *two_halves(CAR), CITYSCAPES)
    assert (road[40, 20] == road[40, 60]).all()
    assert np.abs(cars[40, 20].astype(int) - cars[40, 60]).max() > 10


def test_things_have_an_outline_and_stuff_has_none() -> None:
    image = np.zeros((80, 80, 3), np.uint8)
    panoptic = np.zeros((80, 80), np.int32)
    panoptic[20:60, 20:60] = 1
    for category, outlined in ((CAR, True), (ROAD, False)):
        picture = drawing.draw(image, panoptic, [segment(1, category, (20, 20, 40, 40))], CITYSCAPES)
        assert (picture[20, 40].sum() > picture[40, 40].sum()) == outlined


def test_text_is_readable_on_any_segment() -> None:
    """Somewhere in a large segment there are both darker and lighter pixels than its color: a text and its rim."""
    for label in CITYSCAPES:
        image = np.full((200, 300, 3), label.color, np.uint8)
        whole = [segment(1, label.id, (0, 0, 300, 200))]
        picture = drawing.draw(image, np.ones((200, 300), np.int32), whole, CITYSCAPES)
        luma = picture[40:160, 40:260] @ np.array([0.299, 0.587, 0.114])
        assert np.ptp(luma) > 100, label.name


@pytest.mark.parametrize("name", ["", "a\nb", "Straße 道路 🚗", "x" * 500])
def test_no_name_breaks_a_picture(name: str) -> None:
    odd = (Label(0, name, True, (0, 0, 0)), Label(1, name, False, (255, 255, 255)))
    panoptic = np.ones((120, 120), np.int32)
    panoptic[60:] = 2
    segments = [
        Segment(1, 0, name, True, 1.0, 7200, (0, 0, 120, 60)),
        Segment(2, 1, name, False, 1.0, 7200, (0, 60, 120, 60)),
    ]
    assert drawing.draw(np.zeros((120, 120, 3), np.uint8), panoptic, segments, odd).any()


@pytest.mark.parametrize("shape", [(10, 10), (10, 11, 3), (10, 10, 4)])
def test_an_image_that_does_not_match_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        drawing.draw(np.zeros(shape, np.uint8), np.zeros((10, 10), np.int32), [], CITYSCAPES)


def test_a_name_is_on_the_largest_part_of_what_is_scattered() -> None:
    """A thin, large part on the left has more pixels than the thick, small one on the right."""
    panoptic = np.zeros((300, 600), np.int32)
    panoptic[20:280, 20:100] = panoptic[100:200, 480:580] = 1
    whole = [Segment(1, ROAD, "road", False, 1.0, 30_800, (20, 20, 560, 260))]
    image = np.zeros((300, 600, 3), np.uint8)
    named, bare = (
        drawing.draw(image, panoptic, whole, CITYSCAPES, names=names, legend=False) for names in (True, False)
    )
    columns = np.flatnonzero((named != bare).any(axis=(0, 2)))
    assert columns.size
    assert columns.max() < 130


@pytest.mark.parametrize("size", [(100, 4000), (4000, 100), (96, 96), (130, 150), (2000, 3000)])
def test_names_never_cover_most_of_a_picture(size: tuple[int, int]) -> None:
    rows, columns = np.indices(size)
    panoptic = (8 * (8 * rows // size[0]) + 8 * columns // size[1] + 1).astype(np.int32)
    segments = [
        Segment(int(each), CAR, "car", True, 0.9, int((panoptic == each).sum()), bounding_box(panoptic == each))
        for each in np.unique(panoptic)
    ]
    image = np.zeros((*size, 3), np.uint8)
    named, bare = (
        drawing.draw(image, panoptic, segments, CITYSCAPES, names=names, legend=False) for names in (True, False)
    )
    assert 0 < (named != bare).any(axis=2).mean() < 0.25


def test_opacity_is_how_much_the_colors_cover() -> None:
    panoptic, segments = two_halves(ROAD)
    image = np.full((80, 80, 3), 200, np.uint8)
    bare, half, full = (drawing.draw(image, panoptic, segments, CITYSCAPES, opacity=share) for share in (0.0, 0.5, 1.0))
    np.testing.assert_array_equal(bare, image)
    assert (full == CITYSCAPES[ROAD].color).all()
    np.testing.assert_allclose(half, (bare.astype(int) + full) / 2, atol=1)
    with pytest.raises(ValueError, match=r"opacity is 1\.5, expected a number from 0 to 1"):
        drawing.draw(image, panoptic, segments, CITYSCAPES, opacity=1.5)
