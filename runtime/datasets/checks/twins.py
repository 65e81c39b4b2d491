"""Finding images that look alike among 100,000 by a perceptual hash, without comparing each with each."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

MOST_BITS = 4
"""Most bits in which the hashes of near twins differ. A copy that was scaled or compressed again differs in a few; of
300 toy streets, which all have a sky, a road and houses, no two differ in fewer than nine."""
_FEWEST_ONES = 2 * MOST_BITS
"""Fewest ones in a hash that tells anything: those of plain pictures, such as a black one, are nearly all zeros."""

_BITS = np.array([number.bit_count() for number in range(256)], np.uint8)

Neighbors = Mapping[int, Sequence[tuple[int, int]]]
"""The other hashes near each hash, as (differing bits, hash)."""


def difference_hash(image: NDArray[np.uint8]) -> int:
    """Return the 64-bit dHash of an image, RGB uint8 (H, W, 3): which of 8x9 gray fields are brighter than the last.

    Source: https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html.
    """
    fields = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (9, 8), interpolation=cv2.INTER_AREA)
    return int.from_bytes(np.packbits(fields[:, 1:] > fields[:, :-1]).tobytes(), "big")


def is_telling(image_hash: int) -> bool:
    """Return whether an image has enough structure for its hash to tell it from others."""
    return image_hash.bit_count() >= _FEWEST_ONES


def neighbors(hashes: Sequence[int], most: int = MOST_BITS) -> Neighbors:
    """Return the other hashes within ``most`` bits (0 to 63) of each of the 64-bit ``hashes`` that has any."""
    distinct = np.unique(np.array(hashes, np.uint64))
    near: dict[int, list[tuple[int, int]]] = {}
    pairs = near_pairs(distinct, most)
    differing = _differing_bits(distinct[pairs[:, 0]], distinct[pairs[:, 1]])
    for one, other, bits in zip(*distinct[pairs.T].tolist(), differing.tolist(), strict=True):
        near.setdefault(one, []).append((bits, other))
        near.setdefault(other, []).append((bits, one))
    return near


def near_pairs(hashes: NDArray[np.uint64], most: int) -> NDArray[np.int64]:
    """Return the pairs of indices, (P, 2), smaller first, whose 64-bit hashes, (N,), differ in at most ``most`` bits.

    If the bits are dealt out to ``most + 1`` pieces, near hashes have at least one piece in common, as each bit spoils
    one: only hashes with a common piece are compared. The bits of a piece lie apart, so that a white margin, which many
    pictures have, is not a piece of its own.
    """
    bits = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1)
    pieces = (bits[:, first :: most + 1] for first in range(most + 1))
    codes = np.unique(np.concatenate([_pairs_with_common(piece, hashes, most) for piece in pieces]))
    return np.stack(np.divmod(codes, max(len(hashes), 1)), axis=1)


def _pairs_with_common(piece: NDArray[np.uint8], hashes: NDArray[np.uint64], most: int) -> NDArray[np.int64]:
    """Return the near pairs among those that have the same ``piece``, uint8 (N, B), as smaller index * N + larger."""
    keys = piece @ (np.uint64(1) << np.arange(piece.shape[1], dtype=np.uint64))
    order = np.argsort(keys, kind="stable")  # those of one key are in the order of their indices
    keys, left, found = keys[order], np.arange(len(keys)), [np.zeros(0, np.int64)]
    for distance in itertools.count(1):
        left = left[left + distance < len(keys)]
        left = left[keys[left] == keys[left + distance]]
        if not left.size:
            return np.concatenate(found)
        one, other = order[left], order[left + distance]
        near = _differing_bits(hashes[one], hashes[other]) <= most
        found.append(one[near] * len(keys) + other[near])
    raise AssertionError("distances do not end")


def _differing_bits(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = _BITS[(one ^ other).view(np.uint8)].reshape(-1, 8).sum(1, dtype=np.int64)
    return counts
