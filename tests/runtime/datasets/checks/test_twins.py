"""Near twins are found as by comparing each with each, and copies of a picture are near it."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pem_edge.runtime.datasets.checks import twins
from pem_edge.runtime.datasets.toy_streets import ToyStreets

HASHES = st.integers(0, 2**64 - 1)


@st.composite
def crowded(draw: st.DrawFn) -> list[int]:
    """Hashes of which many are a few bits from each other."""
    centers = draw(st.lists(HASHES, min_size=1, max_size=4))
    flips = st.lists(st.integers(0, 63), max_size=8)
    spoiled = draw(st.lists(st.tuples(st.sampled_from(centers), flips), max_size=40))
    return centers + [center ^ sum(1 << bit for bit in set(bits)) for center, bits in spoiled]


@given(hashes=crowded(), most=st.integers(0, 12))
def test_every_pair_is_found_that_brute_force_finds(hashes: list[int], most: int) -> None:
    expected = [
        (i, j) for i, j in itertools.combinations(range(len(hashes)), 2) if (hashes[i] ^ hashes[j]).bit_count() <= most
    ]
    found = twins.near_pairs(np.array(hashes, np.uint64), most)
    assert [tuple(pair) for pair in found.tolist()] == expected


@given(hashes=crowded(), most=st.integers(0, 12))
def test_neighbors_are_mutual_and_have_their_distance(hashes: list[int], most: int) -> None:
    near = twins.neighbors(hashes, most)
    found = {(one, bits, other) for one, others in near.items() for bits, other in others}
    pairs = itertools.permutations(set(hashes), 2)
    assert found == {
        (one, (one ^ other).bit_count(), other) for one, other in pairs if (one ^ other).bit_count() <= most
    }


def test_no_hash_has_no_neighbor() -> None:
    assert twins.neighbors([]) == {}
    assert twins.near_pairs(np.zeros(0, np.uint64), 4).shape == (0, 2)


@pytest.mark.parametrize("copy", ["scaled", "compressed", "brighter"])
def test_a_copy_of_a_picture_is_near_it_and_other_pictures_are_not(copy: str) -> None:
    street, other = (ToyStreets(2, 256, 512)[index].image for index in (0, 1))
    changed = {
        "scaled": cv2.resize(street, (300, 150), interpolation=cv2.INTER_AREA),
        "compressed": cv2.imdecode(cv2.imencode(".jpg", street, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], cv2.IMREAD_COLOR),
        "brighter": cv2.convertScaleAbs(street, alpha=1.1, beta=4),
    }[copy]
    assert changed is not None
    street_hash, changed_hash = (twins.difference_hash(each.astype(np.uint8)) for each in (street, changed))
    assert twins.is_telling(street_hash)
    assert changed_hash == street_hash or changed_hash in twins.neighbors([street_hash, changed_hash])
    assert twins.neighbors([street_hash, twins.difference_hash(other)]) == {}


def test_a_plain_picture_tells_nothing() -> None:
    assert not twins.is_telling(twins.difference_hash(np.full((40, 60, 3), 200, np.uint8)))
