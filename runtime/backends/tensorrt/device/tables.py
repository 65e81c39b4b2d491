"""Small tables on the GPU: the kernels' of each geometry that was met lately."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import accumulate
from typing import SupportsInt

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.backends.cuda.driver import HostView, Memory, copy
from pem_edge.runtime.backends.tensorrt.kernels import tables

_ALIGNMENT = 16
_USUAL_SETS = 8


class Uploaded:
    """Arrays that ``stream`` copies to the GPU, and the ``addresses`` where they will lie."""

    def __init__(self, arrays: Sequence[NDArray[np.generic]], stream: SupportsInt) -> None:
        starts = [0, *accumulate(-(-array.nbytes // _ALIGNMENT) * _ALIGNMENT for array in arrays)]
        with ExitStack() as cleanup:
            staging = Memory(starts[-1], pinned=True)  # kept, so that nobody has to wait for the copy
            cleanup.callback(staging.close)
            memory = Memory(starts[-1])
            cleanup.callback(memory.close)
            bytes_ = HostView(staging.address, (staging.size,), np.uint8).array()
            for start, array in zip(starts, arrays, strict=False):
                bytes_[start : start + array.nbytes] = np.frombuffer(array.tobytes(), np.uint8)
            copy(memory.address, staging.address, memory.size, stream)
            self.addresses = [memory.address + start for start in starts[:-1]]
            self._cleanup = cleanup.pop_all()

    def close(self) -> None:
        """Free them. The stream must have been waited for."""
        self._cleanup.close()


class TableSet:
    """The tables of one geometry, and where their arrays lie: first and weights of rows and columns; taps of both."""

    def __init__(self, geometry: Geometry, stream: SupportsInt) -> None:
        self.scaling, self.grid = tables.scaling(geometry), tables.grid_taps(geometry)
        rows, columns = self.scaling.rows, self.scaling.columns
        arrays = [rows.first, rows.weights, columns.first, columns.weights, self.grid.rows, self.grid.columns]
        self._uploaded = Uploaded(arrays, stream)
        a, b, c, d, e, f = self._uploaded.addresses
        self.of_scaling, self.of_grid = (a, b, c, d), (e, f)

    def close(self) -> None:
        """Free them."""
        self._uploaded.close()


class GeometryTables:
    """Holds the table sets of the geometries that came last, at least those of a batch of ``most_images``."""

    def __init__(self, most_images: int) -> None:
        self._most_sets = max(_USUAL_SETS, most_images)
        self._sets: OrderedDict[Geometry, TableSet] = OrderedDict()

    def of(self, geometry: Geometry, stream: SupportsInt) -> TableSet:
        """Return the set of ``geometry``, which lies on the GPU when ``stream`` has come so far."""
        if geometry not in self._sets:
            if len(self._sets) == self._most_sets:
                self._sets.popitem(last=False)[1].close()
            self._sets[geometry] = TableSet(geometry, stream)
        self._sets.move_to_end(geometry)
        return self._sets[geometry]

    def close(self) -> None:
        """Free them all."""
        while self._sets:
            self._sets.popitem()[1].close()
