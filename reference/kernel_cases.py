"""A merge or a fit as the pipeline does it, wherever its arrays lie and its kernels run."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.backends.tensorrt.kernels import launches, tables
from pem_edge.runtime.backends.tensorrt.kernels.arguments import (
    CANDIDATE,
    SEGMENT,
    SUMMARY,
    MergeArguments,
    map_dtype,
)
from pem_edge.runtime.backends.tensorrt.kernels.launches import Launch
from reference.scenes import Scene


class Placed(Protocol):
    """A copy of an array where kernels can reach it."""

    @property
    def address(self) -> int:
        """Of the array."""

    def read(self) -> NDArray[Any]:
        """Return what it holds now, in host memory."""


Place = Callable[[NDArray[Any]], Placed]


class Merged(NamedTuple):
    """Holds what the kernels leave on the device. The map is uint8 or uint16."""

    map: NDArray[Any]
    segments: NDArray[np.void]
    candidates: NDArray[np.void]
    problems: int


class MergeCase:
    """A scene's outputs to be merged: run ``launches``, then ask for the `result`.

    The map's pixels are as wide as the number of queries needs, unless ``pixel`` is another type.
    """

    def __init__(
        self,
        scene: Scene,
        things: Collection[int],
        score_threshold: float,
        overlap_threshold: float,
        place: Place,
        pixel: np.dtype[np.generic] | None = None,
    ) -> None:
        geometry, (queries, classes) = scene.geometry, scene.logits.shape
        pixel = pixel or map_dtype(queries)
        taps = tables.grid_taps(geometry)
        is_thing = np.isin(np.arange(classes - 1), list(things)).astype(np.uint8)
        self.placed = [place(array) for array in (scene.logits, scene.masks, is_thing, taps.rows, taps.columns)]
        self._left = [
            place(np.frombuffer(b"\xa5" * size * dtype.itemsize, dtype))
            for size, dtype in (
                (queries, CANDIDATE),
                (1, SUMMARY),
                (queries, SEGMENT),
                (int(np.prod(geometry.output_size)), pixel),
            )
        ]
        self.placed += self._left
        self._size = geometry.output_size
        argument = MergeArguments(
            *(array.address for array in self.placed),
            overlap_threshold,
            score_threshold,
            queries,
            classes - 1,
            *geometry.mask_size,
            *geometry.output_size,
        )
        self.launches = launches.merge(argument, scene.logits.dtype, scene.masks.dtype, taps.count, pixel)

    def result(self) -> Merged:
        """Return what was merged."""
        candidates, summary, segments, painted = (array.read() for array in self._left)
        found = summary[0]
        return Merged(
            painted.reshape(self._size),
            segments[: found["segments"]],
            candidates[: found["candidates"]],
            int(found["problems"]),
        )


class FitCase:
    """An image to be fitted to a model's input: run ``launch``, then ask for the `result`."""

    def __init__(
        self, image: NDArray[np.uint8], geometry: Geometry, pad_value: tuple[int, int, int], place: Place
    ) -> None:
        scaling = tables.scaling(geometry)
        a, b, c, d = sides = [
            place(array) for side in (scaling.rows, scaling.columns) for array in (side.first, side.weights)
        ]
        source, self._target = place(image), place(np.full((*geometry.padded_size, 3), 0x5A, np.uint8))
        self.placed = [*sides, source, self._target]
        addresses, images = (a.address, b.address, c.address, d.address), (source.address, self._target.address)
        self.launch: Launch = launches.fit(scaling, geometry, addresses, images, pad_value)

    def result(self) -> NDArray[np.uint8]:
        """Return the model's input."""
        return np.asarray(self._target.read(), np.uint8)
