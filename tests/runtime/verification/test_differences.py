"""Differences are measured as they are, and judged so that near-ties pass and faults do not."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pem_edge.runtime.artifacts.provenance import Difference, Tolerance, WorstDifference
from pem_edge.runtime.verification.differences import TOLERANCES, Outputs, compare, judge, pixels_that_agree
from pem_edge.runtime.verification.sample_images import sample_image

GOOD = Difference("64x96", logits=1e-5, masks=1e-3, agreement=1.0)
NEAR_TIE = Difference("64x96", logits=0.3, masks=0.7, agreement=0.993)
WRONG = Difference("64x96", logits=2.0, masks=9.0, agreement=0.4)


@pytest.mark.parametrize(
    ("images", "passes"),
    [
        ([GOOD] * 5, True),
        ([GOOD, GOOD, GOOD, NEAR_TIE, NEAR_TIE], True),
        ([GOOD, GOOD, NEAR_TIE, NEAR_TIE, NEAR_TIE], False),
        ([GOOD, GOOD, GOOD, GOOD, WRONG], False),
        ([WRONG] * 5, False),
    ],
)
def test_most_images_must_agree_and_none_may_be_far_off(images: list[Difference], passes: bool) -> None:
    assert judge(images, Tolerance()).passed is passes


def outputs() -> Outputs:
    random = np.random.default_rng(0)
    return random.normal(size=(1, 6, 4)), random.normal(0, 5, size=(1, 6, 8, 9))


def test_differences_are_the_largest_ones() -> None:
    expected = outputs()
    found = (expected[0].copy(), expected[1].copy())
    found[0][0, 2, 1] += 0.25
    found[1][0, 3, 4, 5] -= 0.5
    difference = compare(found, expected, "32x36")
    assert (difference.size, difference.logits, difference.masks) == ("32x36", 0.25, 0.5)


TWO_LOGITS = np.array([[[3.0, 0.0, 0.0], [0.0, 2.9, 0.0]]])
TWO_MASKS = np.array([[[[5.0, 5.0, -5.0, -5.0]], [[-5.0, -5.0, 5.0, -6.0]]]])
"""Two queries: the first wins three of four pixels and is inside of two, the second wins one and is inside there."""


@pytest.mark.parametrize(
    ("query", "column", "value", "agreement"),
    [
        (0, 0, -9.0, 0.75),  # the other query wins
        (0, 0, -1.0, 0.75),  # the same query wins, from outside
        (0, 3, -1.0, 1.0),  # it was outside before, too
    ],
)
def test_a_pixel_agrees_if_the_same_query_wins_it_from_the_same_side(
    query: int, column: int, value: float, agreement: float
) -> None:
    masks = TWO_MASKS.copy()
    masks[0, query, 0, column] = value
    assert compare((TWO_LOGITS, masks), (TWO_LOGITS, TWO_MASKS), "").agreement == agreement


@pytest.mark.parametrize("logits", [[0.0, 3.0, 0.0], [3.0, 0.0, 4.0]])
def test_a_pixel_agrees_if_its_query_has_the_same_class_or_is_no_object_as_before(logits: list[float]) -> None:
    changed = TWO_LOGITS.copy()
    changed[0, 0] = logits
    assert compare((changed, TWO_MASKS), (TWO_LOGITS, TWO_MASKS), "").agreement == 0.25


def test_a_winner_that_ties_with_the_expected_one_agrees_only_where_ties_are_allowed() -> None:
    masks = np.zeros((1, 2, 4, 4))
    expected = (np.array([[[2.0, 0.0, 0.0], [1.99, 0.0, 0.0]]]), masks)
    found = (np.array([[[1.99, 0.0, 0.0], [2.0, 0.0, 0.0]]]), masks)
    far = (np.array([[[1.0, 0.0, 0.0], [2.0, 0.0, 0.0]]]), masks)
    assert compare(found, expected, "").agreement == 0
    assert compare(found, expected, "", tie=0.02).agreement == 1
    assert compare(expected, far, "", tie=0.02).agreement == 0


def test_masks_that_saturate_to_the_same_probability_tie_in_single_precision() -> None:
    """As all queries of random weights do: rounding alone then decides which query wins."""
    masks = np.full((1, 2, 4, 4), 200.0)
    expected = (np.array([[[2.0, 0.0, 0.0], [2.0 - 1e-6, 0.0, 0.0]]]), masks)
    found = (np.array([[[2.0 - 1e-6, 0.0, 0.0], [2.0, 0.0, 0.0]]]), masks)
    assert judge([compare(found, expected, "16x16", TOLERANCES["fp32"].tie)], TOLERANCES["fp32"]).passed


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_output_that_is_no_number_fails(value: float) -> None:
    expected = outputs()
    found = (expected[0], expected[1].copy())
    found[1][0, 0, 0, 0] = value
    assert not judge([compare(found, expected, "32x36")], Tolerance()).passed


@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 100))
def test_sample_images_are_the_same_every_time(height: int, width: int, seed: int) -> None:
    image = sample_image(height, width, seed)
    assert image.shape == (height, width, 3)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, sample_image(height, width, seed))


def test_a_summary_names_the_worst_image() -> None:
    found = judge([GOOD, msgspec.structs.replace(NEAR_TIE, size="32x32")], Tolerance())
    assert found.worst == WorstDifference(logits=0.3, masks=0.7, agreement=0.993)
    assert found.within_tolerance == 1


@pytest.mark.parametrize(
    ("share", "words"),
    [(1.0, "all pixels agree"), (0.999999, "at least 99.999 % of"), (0.75, "at least 75.000 % of"), (0.0, "0.000 %")],
)
def test_agreement_is_told_without_rounding_up(share: float, words: str) -> None:
    assert words in pixels_that_agree(share)
