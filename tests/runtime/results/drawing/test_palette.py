"""Classes of a set can be told apart, and so can instances, which stay nearer to their class than to any other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.results.drawing import colors, oklab, palette
from pem_edge.runtime.results.segments import Segment

CHANNEL = st.integers(0, 255)
COLORS = st.lists(st.tuples(CHANNEL, CHANNEL, CHANNEL), min_size=1, max_size=60)


def distances(some: Sequence[palette.Color], others: Sequence[palette.Color]) -> NDArray[np.float64]:
    apart: NDArray[np.float64] = np.linalg.norm(oklab.of(some)[:, None] - oklab.of(others)[None], axis=2)
    return apart


@pytest.mark.parametrize("name", labels.BUNDLED)
def test_no_two_classes_of_a_bundled_set_look_alike(name: str) -> None:
    drawn = colors.of_classes(labels.load(name))
    assert (distances(drawn, drawn) + np.eye(len(drawn))).min() >= 0.05


@pytest.mark.parametrize("name", ["cityscapes", "coco_panoptic"])
def test_colors_that_people_know_are_kept(name: str) -> None:
    classes = labels.load(name)
    kept = [label.color == color for label, color in zip(classes, colors.of_classes(classes), strict=True)]
    assert np.mean(kept) > 0.95


@pytest.mark.parametrize("name", ["cityscapes", "coco_panoptic", "ade20k"])
def test_instances_are_shades_of_their_class(name: str) -> None:
    drawn = colors.of_classes(labels.load(name))
    for index in range(len(drawn)):
        shades = palette.shades(drawn, index)
        assert shades[0] == drawn[index]
        assert len(set(shades)) == len(shades) >= 4
        assert (distances(shades, drawn).argmin(axis=1) == index).all()


def test_car_and_truck_differ_whatever_their_numbers() -> None:
    classes = labels.load("cityscapes")
    segments = [
        Segment(number, category, "", True, 1.0, 1, (0, 0, 1, 1))
        for number, category in enumerate([13, 14] * palette.SHADES, 1)
    ]
    drawn = colors.of_segments(segments, classes)
    cars, trucks = ([drawn[each.id] for each in segments if each.category_id == category] for category in (13, 14))
    assert distances(cars, trucks).min() > 0.05
    lightness = oklab.of(cars)[:, 0].mean(), oklab.of(trucks)[:, 0].mean()
    assert lightness[0] > lightness[1], "a car's blue is lighter than a truck's"


@settings(deadline=None, max_examples=30)
@given(COLORS)
def test_any_colors_become_distinct_as_long_as_there_are_enough(wanted: list[palette.Color]) -> None:
    drawn = palette.distinct(tuple(wanted))
    assert drawn[0] == wanted[0]
    assert (distances(drawn, drawn) + np.eye(len(drawn))).min() >= 0.05
    assert palette.shades(drawn, len(drawn) - 1)[0] == drawn[-1]


def test_thousands_of_black_classes_are_drawn() -> None:
    classes = [Label(index, "", False, (0, 0, 0)) for index in range(3000)]
    assert len(set(colors.of_classes(classes))) > 200
