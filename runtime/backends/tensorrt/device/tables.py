"""Keeps the tables that the kernels read on the GPU, for the geometries used most recently."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack, closing

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.backends.cuda.driver import HostView, Memory, offsets
from pem_edge.runtime.backends.cuda.streams import Stream
from pem_edge.runtime.backends.tensorrt.kernels import tables

_MIN_KEPT_SETS = 8


class UploadedArrays:
    """Arrays that are copied to the GPU.

    Args:
        arrays: The arrays.
        stream: The stream that copies them.

    Attributes:
        addresses: The address of each array on the GPU.
    """

    def __init__(self, arrays: Sequence[NDArray[np.generic]], stream: Stream) -> None:
        starts = offsets(array.nbytes for array in arrays)
        with ExitStack() as cleanup:
            # Kept as long as the arrays, so that nothing has to wait for the end of the copy.
            staging = cleanup.enter_context(closing(Memory(starts[-1], pinned=True)))
            memory = cleanup.enter_context(closing(Memory(starts[-1])))
            bytes_ = HostView(staging.address, (staging.size,), np.uint8).array()
            for start, array in zip(starts, arrays, strict=False):
                bytes_[start : start + array.nbytes] = np.frombuffer(array.tobytes(), np.uint8)
            stream.copy(memory.address, staging.address, memory.size)
            self.addresses = [memory.address + start for start in starts[:-1]]
            self._cleanup = cleanup.pop_all()

    def close(self) -> None:
        """Free the memory. The stream must have been synchronized."""
        self._cleanup.close()


class TableSet:
    """The tables of one geometry, on the host and on the GPU.

    Args:
        geometry: The sizes of an image on its way through the model.
        stream: The stream that copies the tables to the GPU.

    Attributes:
        scaling: The tables of the preprocessing.
        grid: The tables of the merge.
        scaling_addresses: The addresses of ``first`` and ``weights`` of the rows, then of the columns.
        grid_addresses: The addresses of the taps of the rows and of the columns.
    """

    def __init__(self, geometry: Geometry, stream: Stream) -> None:
        self.scaling, self.grid = tables.scaling(geometry), tables.grid_taps(geometry)
        rows, columns = self.scaling.rows, self.scaling.columns
        arrays = [rows.first, rows.weights, columns.first, columns.weights, self.grid.rows, self.grid.columns]
        self._uploaded = UploadedArrays(arrays, stream)
        a, b, c, d, e, f = self._uploaded.addresses
        self.scaling_addresses, self.grid_addresses = (a, b, c, d), (e, f)

    def close(self) -> None:
        """Free the tables on the GPU."""
        self._uploaded.close()


class GeometryTables:
    """Keeps the table sets of the geometries used most recently.

    Args:
        stream: The stream that copies the tables to the GPU. Only work put on it afterward may read them.
        max_batch: The maximum number of images of a batch, all of whose table sets are kept.
    """

    def __init__(self, stream: Stream, max_batch: int) -> None:
        self._stream = stream
        self._max_sets = max(_MIN_KEPT_SETS, max_batch)
        self._sets: OrderedDict[Geometry, TableSet] = OrderedDict()

    def get(self, geometry: Geometry) -> TableSet:
        """Return the tables of ``geometry``."""
        if geometry not in self._sets:
            if len(self._sets) == self._max_sets:
                self._stream.synchronize()  # earlier work may still read the tables that go
                self._sets.popitem(last=False)[1].close()
            self._sets[geometry] = TableSet(geometry, self._stream)
        self._sets.move_to_end(geometry)
        return self._sets[geometry]

    def close(self) -> None:
        """Free all table sets."""
        while self._sets:
            self._sets.popitem()[1].close()
