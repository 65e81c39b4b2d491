"""COCO's run-length encoding (RLE) of masks, as https://github.com/cocodataset/cocoapi has it in ``maskApi.c``.

A mask is read column by column, and the lengths of its runs are listed: zeros first, then ones, and so on. From the
fourth length on, the difference to the length two before is kept. Each number is written in groups of five bits, the
lowest first, as characters from "0" on; bit 5 of a character says that another follows, and bit 4 of the last is the
sign.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

_GROUP_BITS, _MORE, _ZERO = 5, 1 << 5, ord("0")

_MOST_GROUPS = 7
"""Groups of five bits that hold any length of a run; images have fewer than 2^34 pixels."""


class RunLengths(TypedDict):
    """A compressed mask, which pycocotools' ``mask.decode`` takes. ``size`` is [height, width]."""

    size: list[int]
    counts: str


def encode(mask: NDArray[np.bool_]) -> RunLengths:
    """Compress a mask, bool (H, W)."""
    height, width = mask.shape
    return {"size": [height, width], "counts": _to_text(_differences(_lengths(mask)))}


def _lengths(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the lengths of the runs in column-major order, of which the first, of zeros, may be 0."""
    pixels = mask.T.ravel()
    if not pixels.size:
        return np.zeros(0, np.int64)
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    start = [0, 0] if pixels[0] else [0]
    return np.diff(np.concatenate([start, changes, [pixels.size]]))


def _differences(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    differences = lengths.copy()
    differences[3:] -= lengths[1:-2]
    return differences


def _to_text(numbers: NDArray[np.int64]) -> str:
    shifts = _GROUP_BITS * np.arange(_MOST_GROUPS)
    rest = numbers[:, None] >> shifts  # what a group and all after it have to say, with the sign
    groups = rest & (_MORE - 1)
    lowest, highest = -(1 << (_GROUP_BITS - 1)), (1 << (_GROUP_BITS - 1)) - 1
    ends = (rest >= lowest) & (rest <= highest)
    last = ends.argmax(axis=1)[:, None]
    position = np.arange(_MOST_GROUPS)
    characters = (groups | np.where(position < last, _MORE, 0)) + _ZERO
    text: bytes = characters[position <= last].astype(np.uint8).tobytes()
    return text.decode("ascii")
