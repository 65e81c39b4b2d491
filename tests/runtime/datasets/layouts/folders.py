"""Small datasets in the layouts that people have, to read as they are or to spoil."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike
from PIL import Image

from pem_edge.runtime.datasets.dataset import Sample
from pem_edge.runtime.errors import InputError

SIZE = (4, 6)


def picture(path: Path, size: tuple[int, int] = SIZE) -> Path:
    """Write a gray picture, by the format of its suffix."""
    return save(path, np.full((*size, 3), 90, np.uint8))


def save(path: Path, pixels: ArrayLike) -> Path:
    """Write uint8 or uint16 pixels as they are, other numbers as uint8; a list of rows as the left of a map."""
    array = np.asarray(pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array if array.dtype in (np.uint8, np.uint16) else array.astype(np.uint8)).save(path)
    return path


def halves(left: int, right: int, dtype: type[np.generic] = np.uint8) -> ArrayLike:
    """Return a map whose left half has one value and the right half another."""
    values = np.zeros(SIZE, dtype)
    values[:, :3], values[:, 3:] = left, right
    return values


def truth(sample: Sample) -> dict[int, tuple[int, int, bool]]:
    """Return the class, the number of pixels and the crowd of each segment."""
    ids = set(np.unique(sample.panoptic).tolist()) - {0}
    assert sample.panoptic.shape == sample.image.shape[:2]
    assert sample.panoptic.dtype == np.int32
    assert ids == {segment.id for segment in sample.segments}
    return {
        segment.id: (segment.category_id, int((sample.panoptic == segment.id).sum()), segment.iscrowd)
        for segment in sample.segments
    }


def refused(action: Callable[[], object], message: str) -> None:
    """Require an error of one line that matches ``message``."""
    with pytest.raises(InputError, match=message) as caught:
        action()
    assert "\n" not in str(caught.value)
