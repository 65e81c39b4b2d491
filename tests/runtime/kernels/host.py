"""The kernels run on the host, over NumPy arrays, as the pipeline runs them on a GPU."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.kernels import arguments, launches, tables
from runtime.kernels.arguments import CANDIDATE, SEGMENT, SUMMARY, THREADS, Merge
from runtime.postprocess import Geometry
from tests.helpers.host_kernels import HostKernels
from tests.runtime.helpers.scenes import Scene

GUARD = 64  # values on either side of an array, which must not be read or written


class Merged(NamedTuple):
    """What the kernels leave on the device."""

    map: NDArray[np.int32]
    segments: NDArray[np.void]
    candidates: NDArray[np.void]
    problems: int


class Guarded:
    """A copy of an array between guards: NaN, or whatever the largest values are."""

    def __init__(self, array: NDArray[Any]) -> None:
        size = array.nbytes + 2 * GUARD
        self._bytes = np.full(size, 0xFF, np.uint8)
        self.array = self._bytes[GUARD : size - GUARD].view(array.dtype).reshape(array.shape)
        self.array[...] = array

    @property
    def address(self) -> int:
        """Of the array."""
        return int(self.array.ctypes.data)

    def check(self) -> None:
        """Nothing has been written to the guards."""
        assert (self._bytes[:GUARD] == 0xFF).all()
        assert (self._bytes[-GUARD:] == 0xFF).all()


def merge(
    kernels: HostKernels,
    scene: Scene,
    things: Collection[int],
    score_threshold: float = 0.8,
    overlap_threshold: float = 0.8,
) -> Merged:
    """The scene's outputs merged."""
    geometry, (queries, classes) = scene.geometry, scene.logits.shape
    taps = tables.grid_taps(geometry)
    is_thing = np.isin(np.arange(classes - 1), list(things)).astype(np.uint8)
    logits, masks, thing, rows, columns = (
        Guarded(array) for array in (scene.logits, scene.masks, is_thing, taps.rows, taps.columns)
    )
    candidates, summary, segments, painted = (
        Guarded(np.frombuffer(b"\xa5" * count * np.dtype(dtype).itemsize, dtype))
        for count, dtype in (
            (queries, CANDIDATE),
            (1, SUMMARY),
            (queries, SEGMENT),
            (np.prod(geometry.output_size), "i4"),
        )
    )
    argument = Merge(
        *(array.address for array in (logits, masks, thing, rows, columns, candidates, summary, segments, painted)),
        overlap_threshold,
        score_threshold,
        queries,
        classes - 1,
        *geometry.mask_size,
        *geometry.output_size,
    )
    for launch in launches.merge(argument, scene.logits.dtype, scene.masks.dtype, taps.count):
        kernels.run(launch, THREADS)
    for array in (logits, masks, thing, rows, columns, candidates, summary, segments, painted):
        array.check()
    found = summary.array[0]
    return Merged(
        painted.array.reshape(geometry.output_size),
        segments.array[: found["segments"]],
        candidates.array[: found["candidates"]],
        int(found["problems"]),
    )


def fit(
    kernels: HostKernels, image: NDArray[np.uint8], geometry: Geometry, pad_value: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """The image fitted to the model's input."""
    scaling = tables.scaling(geometry)
    sides = (scaling.rows.first, scaling.rows.weights, scaling.columns.first, scaling.columns.weights)
    guarded = [Guarded(array) for array in sides]
    source = Guarded(image)
    target = Guarded(np.full((*geometry.padded_size, 3), 0x5A, np.uint8))
    a, b, c, d = (table.address for table in guarded)
    kernels.run(
        launches.fit(scaling, geometry, (a, b, c, d), (source.address, target.address), pad_value), arguments.THREADS
    )
    for array in (*guarded, source, target):
        array.check()
    return target.array
