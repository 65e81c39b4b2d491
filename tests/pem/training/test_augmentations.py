"""Views keep the truth with the pixels, number what is left of it, and depend on their random numbers alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pem_edge.pem.training.data import augmentations
from pem_edge.pem.training.data.augmentations import NO_SEGMENT, jitter_colors, random_view
from pem_edge.runtime.datasets.dataset import Sample, TrueSegment

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
    scale=st.sampled_from([(0.25, 0.5), (0.7, 1.4), (1.0, 1.0), (2.0, 4.0)]),
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
def test_pixels_and_truth_move_together(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away from the bands' edges a pixel's color says whose it is."""
    monkeypatch.setattr(augmentations, "jitter_colors", lambda image, _: image)
    view = random_view(sample(60, 80), (32, 64), (0.5, 2.0), np.random.default_rng(seed))
    channel = {4: 0, 2: 2}
    for number, category in enumerate(view.classes.tolist()):
        colors = view.image[view.segment_map == number].astype(int)
        right = (colors[:, channel[category]] > 90) & (np.delete(colors, channel[category], 1).max(1) <= 110)
        assert right.mean() > 0.9


def test_flips_and_crops_do_occur() -> None:
    views = [random_view(sample(64, 64), (32, 32), (1.0, 1.0), np.random.default_rng(seed)) for seed in range(30)]
    assert len({view.segment_map.tobytes() for view in views}) > 15


def test_a_small_image_is_padded_with_what_normalizes_to_zero() -> None:
    view = random_view(sample(10, 20), (32, 64), (1.0, 1.0), np.random.default_rng(0))
    assert (view.image[10:] == augmentations._PADDING).all()
    assert (view.image[:, 20:] == augmentations._PADDING).all()
    assert (view.segment_map[10:] == NO_SEGMENT).all()
    assert len(view.classes) == 2


def test_colors_change_within_bounds_and_gray_stays_gray() -> None:
    gray = np.full((4, 4, 3), 120, np.uint8)
    changed: list[NDArray[np.uint8]] = [jitter_colors(gray, np.random.default_rng(seed)) for seed in range(40)]
    assert all(int(image.max()) - int(image.min()) <= 2 for image in changed)
    means = [float(image.mean()) for image in changed]
    assert min(means) < 90
    assert max(means) > 150
