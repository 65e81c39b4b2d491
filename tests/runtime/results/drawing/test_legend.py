"""The legend is below the picture, shows the colors that are drawn, and has one height under all frames of a video."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.results import drawing
from pem_edge.runtime.results.drawing.legend import Entry, lay_out, lay_out_steady
from pem_edge.runtime.results.segments import Segment

CITYSCAPES, COCO = labels.load("cityscapes"), labels.load("coco_panoptic")


def halves(left: int, right: int, size: tuple[int, int] = (120, 320)) -> tuple[NDArray[np.int32], list[Segment]]:
    height, width = size
    panoptic = np.repeat([[1] * (width // 2) + [2] * (width - width // 2)], height, axis=0).astype(np.int32)
    return panoptic, [
        Segment(
            number, category, CITYSCAPES[category].name, False, 1.0, height * width // 2, (x, 0, width // 2, height)
        )
        for number, (category, x) in enumerate([(left, 0), (right, width // 2)], 1)
    ]


def test_the_picture_is_the_same_with_and_without_a_legend() -> None:
    panoptic, segments = halves(0, 10)
    image = np.full((120, 320, 3), 90, np.uint8)
    whole = drawing.draw(image, panoptic, segments, CITYSCAPES)
    np.testing.assert_array_equal(whole[:120], drawing.draw(image, panoptic, segments, CITYSCAPES, legend=False))
    shown = {tuple(color) for color in whole[120:].reshape(-1, 3).tolist()}
    assert {CITYSCAPES[0].color, CITYSCAPES[10].color} <= shown
    assert CITYSCAPES[13].color not in shown


@pytest.mark.parametrize("size", [(95, 2000), (2000, 95), (30, 40)])
def test_small_pictures_have_none(size: tuple[int, int]) -> None:
    panoptic, segments = halves(0, 10, size)
    assert drawing.draw(np.zeros((*size, 3), np.uint8), panoptic, segments, CITYSCAPES).shape == (*size, 3)


@pytest.mark.parametrize("classes", [CITYSCAPES, COCO], ids=["19", "133"])
@pytest.mark.parametrize("size", [(100, 4000), (360, 640), (1080, 1920), (4000, 100), (96, 96)])
def test_frames_of_a_video_have_one_height(classes: tuple[labels.Label, ...], size: tuple[int, int]) -> None:
    image = np.zeros((*size, 3), np.uint8)
    shapes = set()
    for count in (0, 1, 7, len(classes)):
        panoptic = np.arange(size[0] * size[1], dtype=np.int32).reshape(size) % (count + 1)
        found = [Segment(i + 1, i, "", False, 1.0, 9, (0, 0, size[1], size[0])) for i in range(count)]
        shapes.add(drawing.draw(image, panoptic, found, classes, steady=True, names=False).shape)
    assert len(shapes) == 1
    assert size[0] < shapes.pop()[0] <= 1.5 * size[0]


def test_classes_keep_their_places_and_absent_ones_are_faded() -> None:
    entries = [[Entry(name, (9, 9, 9), name != absent) for name in ("road", "car", "sky")] for absent in ("car", "")]
    first, second = (lay_out_steady(each, (500, 800), 20) for each in entries)
    assert [(each.row, each.left) for each in first.placed] == [(each.row, each.left) for each in second.placed]
    faded, lit = (np.zeros((each.height, 800, 3), np.uint8) for each in (first, second))
    first.write(faded)
    second.write(lit)
    left, right = second.placed[1].left, second.placed[2].left
    assert lit[:, left:right].max() > faded[:, left:right].max() + 60
    np.testing.assert_array_equal(lit[:, right:], faded[:, right:])


def test_entries_without_room_are_counted() -> None:
    entries = [Entry(f"class {number}", (9, 9, 9)) for number in range(100)]
    legend = lay_out(entries, (200, 300), 12)
    assert legend.height <= 100
    remark = legend.placed[-1].entry
    assert (remark.color, remark.name) == (None, f"+{100 - (len(legend.placed) - 1)}")


@settings(deadline=None)
@given(
    st.lists(st.text(st.characters(codec="ascii"), max_size=30), max_size=40),
    st.tuples(st.integers(96, 900), st.integers(96, 900)),
    st.integers(11, 60),
)
def test_entries_lie_within_the_strip_and_apart(names: list[str], shape: tuple[int, int], size: int) -> None:
    legend = lay_out([Entry(name, (9, 9, 9)) for name in names], shape, size)
    canvas = np.zeros((legend.height, shape[1], 3), np.uint8)
    legend.write(canvas)
    places = [(each.row, each.left) for each in legend.placed]
    assert places == sorted(set(places))
    assert all(0 <= row < legend.rows and 0 <= left < shape[1] for row, left in places)
    assert legend.height <= shape[0] / 2 + 1
