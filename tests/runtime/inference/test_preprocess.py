"""Images are fitted to a model's input with their aspect kept, and the sizes that undo it are right."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.manifest import InputSpec, Range
from pem_edge.runtime.inference.preprocess import fit, prepare

PAD = (124, 116, 104)
sides = st.integers(1, 300)
boxes = st.integers(1, 6).map(lambda n: 32 * n)
DYNAMIC = InputSpec(height=128, width=128, dynamic_height=Range(64, 128, 192), dynamic_width=Range(64, 128, 256))


def flat(height: int, width: int, color: tuple[int, int, int] = (200, 10, 50)) -> NDArray[np.uint8]:
    return np.full((height, width, 3), color, np.uint8)


@given(sides, sides, boxes, boxes)
@example(1, 300, 32, 192)
@example(300, 1, 192, 32)
@example(1, 1, 32, 64)
def test_the_image_fills_the_input_and_the_rest_is_padding(height: int, width: int, rows: int, columns: int) -> None:
    fitted, geometry = fit(flat(height, width), rows, columns, PAD)
    h, w = geometry.image_size
    assert (geometry.padded_size, geometry.output_size) == ((rows, columns), (height, width))
    assert fitted.shape == (rows, columns, 3)
    assert fitted.dtype == np.uint8
    assert h == rows or w == columns
    assert (fitted[:h, :w] == (200, 10, 50)).all()
    assert (fitted[h:] == PAD).all()
    assert (fitted[:, w:] == PAD).all()


@given(sides, sides, boxes, boxes)
@example(1, 300, 32, 192)
@example(300, 1, 192, 32)
@example(32, 60, 32, 64)
def test_one_pass_computes_what_scaling_and_padding_after_it_do(
    height: int, width: int, rows: int, columns: int
) -> None:
    image = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    fitted, geometry = fit(image, rows, columns, PAD)
    h, w = geometry.image_size
    how = cv2.INTER_AREA if h * w < height * width else cv2.INTER_LINEAR
    scaled = image if (h, w) == (height, width) else cv2.resize(image, (w, h), interpolation=how)
    padded = cv2.copyMakeBorder(scaled, 0, rows - h, 0, columns - w, cv2.BORDER_CONSTANT, value=PAD)
    np.testing.assert_array_equal(fitted, padded)
    assert fitted.flags.c_contiguous


@given(sides, sides, boxes, boxes)
def test_aspect_is_kept_to_within_rounding(height: int, width: int, rows: int, columns: int) -> None:
    _, geometry = fit(flat(height, width), rows, columns, PAD)
    scale = min(rows / height, columns / width)
    for side, scaled in zip((height, width), geometry.image_size, strict=True):
        assert abs(scaled - side * scale) <= 0.5 or scaled == 1


def test_an_image_of_the_inputs_size_is_not_touched() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    fitted, geometry = fit(image, 64, 96, PAD)
    assert fitted is image
    assert geometry.padded_size == geometry.image_size == geometry.output_size == (64, 96)


def test_shrinking_averages_what_it_merges() -> None:
    board = (np.indices((128, 128)).sum(axis=0) % 2 * 255).astype(np.uint8)
    fitted, _ = fit(np.dstack([board] * 3), 32, 32, PAD)
    assert np.abs(fitted.astype(int) - 127).max() <= 1


@given(st.integers(2, 40), st.integers(2, 40))
def test_a_ramp_stays_where_it_was(height: int, width: int) -> None:
    """Pixel centers map to pixel centers, as the way back assumes: (x + 0.5) / width is the same before and after."""
    ramp = np.broadcast_to((np.arange(width) + 0.5) / width * 255, (height, width))
    fitted, geometry = fit(np.dstack([ramp.round().astype(np.uint8)] * 3), 64, 64, PAD)
    w = geometry.image_size[1]
    inner = slice(w // width + 1, w - w // width - 1)  # half a source pixel at the rim repeats the last one
    expected = (np.arange(w) + 0.5) / w * 255
    assert np.abs(fitted[0, inner, 0] - expected[inner]).max(initial=0) <= 2


@given(st.integers(64, 192), st.integers(64, 256))
def test_dynamic_input_within_its_ranges_only_pads(height: int, width: int) -> None:
    image = flat(height, width)
    fitted, geometry = prepare(image, DYNAMIC)
    assert geometry.image_size == geometry.output_size == (height, width)
    assert fitted.shape[0] - height in range(32)
    assert fitted.shape[1] - width in range(32)
    np.testing.assert_array_equal(fitted[:height, :width], image)


@given(st.integers(1, 1000), st.integers(1, 1000))
@example(1, 1000)
@example(63, 256)
@example(64, 257)
def test_dynamic_input_is_always_one_the_artifact_takes(height: int, width: int) -> None:
    fitted, geometry = prepare(flat(height, width), DYNAMIC)
    rows, columns = fitted.shape[:2]
    assert rows in range(64, 193, 32)
    assert columns in range(64, 257, 32)
    scales = [scaled / side for scaled, side in zip(geometry.image_size, (height, width), strict=True)]
    assert scales[0] == pytest.approx(scales[1], abs=1 / min(height, width)) or 1 in geometry.image_size


@pytest.mark.parametrize(
    ("size", "image_size", "padded_size"),
    [
        ((32, 40), (51, 64), (64, 64)),  # smaller than the least both ways: scaled up to fit it
        ((32, 200), (32, 200), (64, 224)),  # smaller in one: padded to the least
        ((384, 200), (192, 100), (192, 128)),  # larger than the most: scaled down
        ((10, 512), (5, 256), (64, 256)),
    ],
)
def test_dynamic_input_outside_its_ranges(
    size: tuple[int, int], image_size: tuple[int, int], padded_size: tuple[int, int]
) -> None:
    _, geometry = prepare(flat(*size), DYNAMIC)
    assert (geometry.image_size, geometry.padded_size) == (image_size, padded_size)


def test_one_dynamic_dimension() -> None:
    spec = InputSpec(height=64, width=128, dynamic_width=Range(64, 128, 256))
    assert prepare(flat(128, 256), spec)[1].image_size == (64, 128)
    assert prepare(flat(64, 100), spec)[1].image_size == (64, 100)


@given(sides, sides)
def test_static_input_is_fitted(height: int, width: int) -> None:
    image = flat(height, width)
    spec = InputSpec(height=96, width=64)
    prepared, geometry = prepare(image, spec)
    fitted, expected = fit(image, 96, 64, spec.pad_value)
    np.testing.assert_array_equal(prepared, fitted)
    assert geometry == expected
