"""Runs the kernels on the host, on NumPy arrays, in the same order as the pipeline does on a GPU."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.backends.tensorrt.kernels.arguments import THREADS
from reference.host_cuda.kernels import HostKernels
from reference.kernel_cases import FitCase, MergeCase, Merged, Placed
from reference.scenes import Scene

GUARD = 64
"""Bytes on either side of an array, which must not be read or written."""


class Guarded:
    """A copy of an array between guards of 0xFF bytes, which are NaN as floats."""

    def __init__(self, array: NDArray[Any]) -> None:
        size = array.nbytes + 2 * GUARD
        self._bytes = np.full(size, 0xFF, np.uint8)
        self._array = self._bytes[GUARD : size - GUARD].view(array.dtype).reshape(array.shape)
        self._array[...] = array

    @property
    def address(self) -> int:
        """The address of the array."""
        return int(self._array.ctypes.data)

    def read(self) -> NDArray[Any]:
        """Return the array."""
        return self._array

    def check(self) -> None:
        """Check that nothing has been written to the guards."""
        assert (self._bytes[:GUARD] == 0xFF).all()
        assert (self._bytes[-GUARD:] == 0xFF).all()


def merge(
    kernels: HostKernels,
    scene: Scene,
    things: Collection[int],
    score_threshold: float = 0.8,
    overlap_threshold: float = 0.8,
    pixel: np.dtype[np.generic] | None = None,
) -> Merged:
    """Merge a scene's outputs into a map whose pixels are of the type ``pixel``; None for the pipeline's choice."""
    case = MergeCase(scene, things, score_threshold, overlap_threshold, Guarded, pixel)
    for launch in case.launches:
        kernels.run(launch, THREADS)
    _check(case.placed)
    return case.result()


def fit(
    kernels: HostKernels, image: NDArray[np.uint8], geometry: Geometry, pad_value: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Fit an image to the model's input."""
    case = FitCase(image, geometry, pad_value, Guarded)
    kernels.run(case.launch, THREADS)
    _check(case.placed)
    return case.result()


def _check(placed: Sequence[Placed]) -> None:
    for array in placed:
        cast(Guarded, array).check()
