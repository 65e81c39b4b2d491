"""Views keep the truth with the pixels, number what is left of it, and depend on their random numbers alone."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pem_edge.pem.training.data import augmentation_names, views
from pem_edge.pem.training.data.appearance import blur, compress, jitter_colors
from pem_edge.pem.training.data.numbered_views import NumberedViews
from pem_edge.pem.training.data.views import MAX_SEGMENTS, NO_SEGMENT, View, random_view
from pem_edge.pem.training.settings import AUGMENTATIONS, Augmentation, TrainingSettings
from pem_edge.runtime.datasets.dataset import Sample, TrueSegment
from pem_edge.runtime.errors import TrainingError
from tests.helpers.boxes import Boxes

SETTINGS = TrainingSettings(size=(32, 64), scale=(0.5, 2.0), seed=11)
Change = Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]

COUNT = 40
"""Number of views in which each augmentation does and does not happen."""

IDS = (700, 3, 90_000, 5)
"""Segment 3 is a crowd; 5 has no pixels."""


def sample(height: int, width: int) -> Sample:
    """Bands of void, 700, 3 and 90000, each of one color."""
    band = (np.arange(width) * 4 // width)[None].repeat(height, 0)
    panoptic = np.array([0, *IDS[:3]], np.int32)[band]
    image = np.array([[0, 0, 0], [200, 0, 0], [0, 200, 0], [0, 0, 200]], np.uint8)[band]
    segments = [TrueSegment(700, 4), TrueSegment(3, 1, iscrowd=True), TrueSegment(90_000, 2), TrueSegment(5, 0)]
    return Sample("bands", image, panoptic, segments)


@given(
    size=st.tuples(st.integers(8, 70), st.integers(8, 70)),
    wanted=st.sampled_from([(32, 32), (32, 96), (64, 32)]),
    scale=st.sampled_from([(0.1, 2.0), (0.25, 0.5), (0.7, 1.4), (1.0, 1.0), (2.0, 4.0)]),
    seed=st.integers(0, 10_000),
)
def test_a_view_is_well_formed(
    size: tuple[int, int], wanted: tuple[int, int], scale: tuple[float, float], seed: int
) -> None:
    view = random_view(sample(*size), wanted, scale, np.random.default_rng(seed))
    assert view.image.shape == (*wanted, 3)
    assert view.segment_map.shape == wanted
    assert (view.image.dtype.name, view.segment_map.dtype.name) == ("uint8", "int16")
    assert set(np.unique(view.segment_map)) - {NO_SEGMENT} == set(range(len(view.classes)))
    assert set(view.classes.tolist()) <= {4, 2}
    again = random_view(sample(*size), wanted, scale, np.random.default_rng(seed))
    assert np.array_equal(view.image, again.image)
    assert np.array_equal(view.segment_map, again.segment_map)


@pytest.mark.parametrize("seed", range(20))
def test_pixels_and_truth_move_together(seed: int) -> None:
    """Away from the bands' edges a pixel's color says whose it is."""
    view = random_view(sample(60, 80), (32, 64), (0.5, 2.0), np.random.default_rng(seed), ["flip"])
    channel = {4: 0, 2: 2}
    for number, category in enumerate(view.classes.tolist()):
        colors = view.image[view.segment_map == number].astype(int)
        right = (colors[:, channel[category]] > 90) & (np.delete(colors, channel[category], 1).max(1) <= 110)
        assert right.mean() > 0.9


def test_flips_and_crops_do_occur() -> None:
    views = [random_view(sample(64, 64), (32, 32), (1.0, 1.0), np.random.default_rng(seed)) for seed in range(30)]
    assert len({view.segment_map.tobytes() for view in views}) > 15


@pytest.mark.parametrize("seed", range(10))
def test_a_small_image_lies_in_padding_that_normalizes_to_zero(seed: int) -> None:
    view = random_view(sample(10, 20), (32, 64), (1.0, 1.0), np.random.default_rng(seed))
    outside = np.ones((32, 64), bool)
    rows, columns = np.nonzero((view.image != views._PADDING).any(2))
    outside[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = False
    assert (~outside).sum() == 10 * 20
    assert (view.segment_map[outside] == NO_SEGMENT).all()
    assert len(view.classes) == 2


def test_an_image_shrinks_to_a_tenth_anywhere_in_the_view() -> None:
    small = [random_view(sample(60, 80), (32, 64), (0.1, 0.1), np.random.default_rng(seed)) for seed in range(40)]
    places = [np.argwhere(view.segment_map >= 0) for view in small]
    assert all(np.ptp(place[:, 0]) == 6 - 1 and np.ptp(place[:, 1]) < 8 for place in places)
    corners = np.array([place.min(0) for place in places])
    assert (np.ptp(corners, axis=0) > (15, 30)).all()


def test_an_image_that_fills_the_view_is_not_moved() -> None:
    view = random_view(sample(64, 64), (32, 32), (0.5, 0.5), np.random.default_rng(0), [])
    assert np.array_equal(view.image, sample(64, 64).image[::2, ::2])


def test_colors_change_within_bounds_and_gray_stays_gray() -> None:
    gray = np.full((4, 4, 3), 120, np.uint8)
    changed: list[NDArray[np.uint8]] = [jitter_colors(gray, np.random.default_rng(seed)) for seed in range(40)]
    assert all(int(image.max()) - int(image.min()) <= 2 for image in changed)
    means = [float(image.mean()) for image in changed]
    assert min(means) < 90
    assert max(means) > 150


@pytest.mark.parametrize("change", [blur, compress])
def test_sharpness_is_lost_now_and_then_and_never_the_colors(change: Change) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    changed = [change(noise, np.random.default_rng(seed)) for seed in range(100)]
    assert {(image.shape, image.dtype.name) for image in changed} == {((32, 48, 3), "uint8")}
    assert 15 < sum(not np.array_equal(image, noise) for image in changed) < 45
    red = np.full((16, 16, 3), (200, 30, 60), np.uint8)
    assert all(np.abs(change(red, np.random.default_rng(seed)).astype(int) - red).max() < 8 for seed in range(40))


def views_of(*names: Augmentation) -> list[View]:
    made = NumberedViews(Boxes(3), replace(SETTINGS, augmentations=names))
    return [made[number] for number in range(COUNT)]


def differ(one: list[View], other: list[View], attribute: str) -> int:
    """Return how many views differ in the attribute."""
    return sum(
        not np.array_equal(getattr(a, attribute), getattr(b, attribute)) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_augmentation_happens_in_some_views_and_not_in_others(name: Augmentation) -> None:
    assert 0 < differ(views_of(), views_of(name), "image") < COUNT


@pytest.mark.parametrize("others", [("color",), ("blur", "jpeg"), ("color", "blur", "jpeg")])
def test_a_flip_is_the_same_whatever_else_is_on(others: tuple[Augmentation, ...]) -> None:
    assert differ(views_of(), views_of(*others), "segment_map") == 0
    assert differ(views_of("flip"), views_of("flip", *others), "segment_map") == 0


@pytest.mark.parametrize("name", ["color", "blur", "jpeg"])
def test_appearance_changes_no_segment(name: Augmentation) -> None:
    for others in ((), ("flip", "copy-paste")):
        assert differ(views_of(*others), views_of(*others, name), "segment_map") == 0


def test_blur_and_compression_are_drawn_apart() -> None:
    plain, blurred, both = views_of(), views_of("blur"), views_of("blur", "jpeg")
    compressed = views_of("jpeg")
    for a, b, c, d in zip(plain, blurred, compressed, both, strict=True):
        if np.array_equal(a.image, b.image):
            assert np.array_equal(c.image, d.image)
        if np.array_equal(a.image, c.image):
            assert np.array_equal(b.image, d.image)


def test_a_view_depends_on_its_number_and_the_seed_alone() -> None:
    made = NumberedViews(Boxes(3), replace(SETTINGS, augmentations=AUGMENTATIONS))
    backwards = [made[number] for number in reversed(range(COUNT))][::-1]
    assert differ(backwards, views_of(*AUGMENTATIONS), "image") == 0
    other = NumberedViews(Boxes(3), replace(SETTINGS, augmentations=AUGMENTATIONS, seed=8))
    assert differ(backwards, [other[number] for number in range(COUNT)], "image") == COUNT


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("all", AUGMENTATIONS),
        ("none", ()),
        ("copy-paste, flip,color,flip", ("flip", "color", "copy-paste")),
        ("jpeg", ("jpeg",)),
    ],
)
def test_names_are_read_in_one_order(text: str, names: tuple[Augmentation, ...]) -> None:
    assert augmentation_names.parse(text) == names


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("flip,colour", "there is no 'colour': did you mean color?"),
        ("copypaste", "did you mean copy-paste?"),
        ("zoom", "there is no 'zoom': choose from flip, color, blur, jpeg, copy-paste"),
        ("", "'' must be all, none, or some of flip,color"),
        ("all,flip", "'all,flip' must be all, none, or some of"),
        ("flip,,color", "'flip,,color' must be"),
    ],
)
def test_unknown_names_are_refused(text: str, complaint: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        augmentation_names.parse(text)
    assert complaint in str(caught.value)


def test_settings_know_the_names() -> None:
    assert TrainingSettings().augmentations == ("flip", "color")
    unknown: Any = ("flip", "zoom")  # as from a caller without types
    with pytest.raises(TrainingError, match="augmentations is flip,zoom, expected some of flip, color, blur"):
        replace(SETTINGS, augmentations=unknown)


def test_of_too_many_segments_the_largest_are_learned() -> None:
    ids = np.arange(1, 40_001, dtype=np.int32).reshape(200, 200)
    ids[:50, :50] = 7
    sample = Sample("noise", np.zeros((200, 200, 3), np.uint8), ids, [TrueSegment(int(i), 0) for i in range(1, 40_001)])
    view = random_view(sample, (256, 256), (1.0, 1.0), np.random.default_rng(0))
    assert len(view.classes) == MAX_SEGMENTS
    assert view.segment_map.max() == MAX_SEGMENTS - 1
    assert (view.segment_map >= 0).sum() >= 2500
