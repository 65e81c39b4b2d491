"""The parity gate passes what is right, near-ties included, and stops what is wrong."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pem_edge.export import parity
from pem_edge.runtime.artifacts.manifest import InputSpec, Range
from pem_edge.runtime.artifacts.provenance import Difference, Tolerance, WorstDifference
from pem_edge.runtime.errors import ExportError

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
    result = parity.judge(images, Tolerance())
    assert result.passed is passes
    if not passes:
        with pytest.raises(ExportError, match="nothing was written"):
            parity.require({"onnxruntime": result})


Change = Callable[[parity.Outputs], parity.Outputs]


def outputs() -> parity.Outputs:
    random = np.random.default_rng(0)
    return random.normal(size=(1, 6, 4)), random.normal(0, 5, size=(1, 6, 8, 9))


def test_differences_are_the_largest_ones() -> None:
    expected = outputs()
    found = (expected[0].copy(), expected[1].copy())
    found[0][0, 2, 1] += 0.25
    found[1][0, 3, 4, 5] -= 0.5
    difference = parity.compare(found, expected, "32x36")
    assert (difference.size, difference.logits, difference.masks) == ("32x36", 0.25, 0.5)


def test_agreement_is_the_share_of_pixels_won_by_the_same_query() -> None:
    expected = outputs()
    found = (expected[0], expected[1].copy())
    found[1][0, :, :4] = found[1][0, ::-1, :4]
    winners_before, winners_after = (parity._scores(*pair).argmax(axis=1) for pair in (expected, found))
    share = float(np.mean(winners_before == winners_after))
    assert parity.compare(found, expected, "").agreement == share < 1


def test_a_winner_that_ties_with_the_expected_one_agrees_only_where_ties_are_allowed() -> None:
    masks = np.zeros((1, 2, 4, 4))
    expected = (np.array([[[2.0, 0.0, 0.0], [1.99, 0.0, 0.0]]]), masks)
    found = (np.array([[[1.99, 0.0, 0.0], [2.0, 0.0, 0.0]]]), masks)
    far = (np.array([[[1.0, 0.0, 0.0], [2.0, 0.0, 0.0]]]), masks)
    assert parity.compare(found, expected, "").agreement == 0
    assert parity.compare(found, expected, "", tie=0.02).agreement == 1
    assert parity.compare(expected, far, "", tie=0.02).agreement == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_output_that_is_no_number_fails(value: float) -> None:
    expected = outputs()
    found = (expected[0], expected[1].copy())
    found[1][0, 0, 0, 0] = value
    assert not parity.judge([parity.compare(found, expected, "32x36")], Tolerance()).passed


def test_a_static_artifact_is_tried_at_its_size_and_a_dynamic_one_at_several() -> None:
    static = InputSpec(height=64, width=96, batch=2)
    assert set(parity.sizes_for(static)) == {(2, 64, 96)}
    dynamic = replace_dynamic(InputSpec(height=128, width=256))
    assert {(1, 128, 256), (1, 64, 96), (2, 64, 256)} <= set(parity.sizes_for(dynamic))


def replace_dynamic(spec: InputSpec) -> InputSpec:
    return InputSpec(
        height=spec.height,
        width=spec.width,
        dynamic_batch=Range(1, 1, 4),
        dynamic_height=Range(64, 128, 512),
        dynamic_width=Range(96, 256, 512),
    )


@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 100))
def test_sample_images_are_the_same_every_time(height: int, width: int, seed: int) -> None:
    image = parity.sample_image(height, width, seed)
    assert image.shape == (height, width, 3)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, parity.sample_image(height, width, seed))


def test_a_summary_names_the_worst_image() -> None:
    found = parity.judge([GOOD, msgspec.structs.replace(NEAR_TIE, size="32x32")], Tolerance())
    assert found.worst == WorstDifference(logits=0.3, masks=0.7, agreement=0.993)
    assert found.within_tolerance == 1
