"""COCO's run-length encoding: known texts, what a decoder written from COCO's C code reads, and pycocotools itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from pem_edge.runtime.results import run_lengths
from pem_edge.runtime.results.run_lengths import RunLengths

SHAPES = array_shapes(min_dims=2, max_dims=2, max_side=70)


def decode(encoded: RunLengths) -> NDArray[np.bool_]:
    """Decode one character at a time, as COCO's ``rleFrString`` and ``rleDecode`` do."""
    counts: list[int] = []
    position, text = 0, encoded["counts"].encode()
    while position < len(text):
        value, shift, more = 0, 0, True
        while more:
            group = text[position] - 48
            assert 0 <= group < 64
            value |= (group & 0x1F) << shift
            more = bool(group & 0x20)
            position, shift = position + 1, shift + 5
            if not more and group & 0x10:
                value |= -1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    assert min(counts[1:], default=1) > 0
    pixels = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    height, width = encoded["size"]
    return pixels.reshape(width, height).T


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        (["0"], "1"),
        (["1"], "01"),  # no zeros, then a one
        (["01", "01"], "22"),
        (["10", "10"], "022"),
        (["0000", "0110", "0000"], "41202"),  # runs of 4, 1, 2, 1 and 4, the last two less 1 and 2
    ],
)
def test_known_masks(rows: list[str], counts: str) -> None:
    mask = np.array([[pixel == "1" for pixel in row] for row in rows])
    assert run_lengths.encode(mask) == {"size": [*mask.shape], "counts": counts}


def test_long_runs_take_several_characters() -> None:
    """15 fits into the five bits of a character with its sign, 16 does not: it is written as 0b10000 and 0."""
    for length, text in ((15, "?"), (16, "`0"), (32, "P1"), (1000, "Xo0")):
        assert run_lengths.encode(np.zeros((1, length), np.bool_))["counts"] == text


@given(arrays(np.bool_, SHAPES))
def test_masks_survive(mask: NDArray[np.bool_]) -> None:
    np.testing.assert_array_equal(decode(run_lengths.encode(mask)), mask)


@given(st.integers(0, 2**32 - 1), st.integers(1, 90), st.tuples(st.integers(1, 900), st.integers(1, 900)))
@settings(max_examples=20)
def test_large_masks_of_few_regions_survive(seed: int, boxes: int, size: tuple[int, int]) -> None:
    generator = np.random.default_rng(seed)
    mask = np.zeros(size, np.bool_)
    for _ in range(boxes):
        top, left = (int(generator.integers(side)) for side in size)
        mask[top : top + int(generator.integers(1, 300)), left : left + int(generator.integers(1, 300))] ^= True
    np.testing.assert_array_equal(decode(run_lengths.encode(mask)), mask)


def test_a_view_in_any_order_is_the_mask_that_it_shows() -> None:
    mask = np.random.default_rng(0).random((31, 17)) > 0.5
    assert run_lengths.encode(np.asfortranarray(mask)) == run_lengths.encode(mask)
    assert run_lengths.encode(np.repeat(mask, 2, axis=1)[:, ::2]) == run_lengths.encode(mask)


@given(arrays(np.bool_, SHAPES))
def test_the_text_is_pycocotools(mask: NDArray[np.bool_]) -> None:
    coco_mask = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    expected = coco_mask.encode(np.asfortranarray(mask.view(np.uint8)))
    assert run_lengths.encode(mask) == {"size": expected["size"], "counts": expected["counts"].decode()}
