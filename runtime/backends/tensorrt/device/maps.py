"""Panoptic maps that are on their way from the GPU, and their layout in memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.backends.cuda.driver import Gpu, HostView, offsets
from pem_edge.runtime.backends.tensorrt.device.slots import Call
from pem_edge.runtime.backends.tensorrt.kernels.arguments import SEGMENT, SUMMARY


@dataclass(frozen=True, eq=False)
class DownloadedMap:
    """The panoptic map of one image, in ordinary host memory.

    Attributes:
        panoptic: The panoptic map, int32 (H, W).
        segments: The map's segments, of the dtype SEGMENT.
        finite: Whether all outputs of the model were finite; if not, the map and the segments are meaningless.
    """

    panoptic: NDArray[np.int32]
    segments: NDArray[np.void]
    finite: bool


class Layout:
    """Where a block of memory has the reports and the maps of a batch. A report is a summary and segments.

    Args:
        sizes: Height and width of each map.
        queries: The maximum number of segments.
        pixel: The type of the maps' pixels.

    Attributes:
        size: The block's size in bytes.
    """

    def __init__(self, sizes: Sequence[tuple[int, int]], queries: int, pixel: np.dtype[np.generic]) -> None:
        self._sizes, self._pixel = sizes, pixel
        self._report_bytes = SUMMARY.itemsize + SEGMENT.itemsize * queries
        maps = [height * width * pixel.itemsize for height, width in sizes]
        *self._starts, self.size = offsets([self._report_bytes] * len(sizes) + maps)

    def starts(self, index: int) -> tuple[int, int]:
        """Return the offsets of an image's report and map."""
        return self._starts[index], self._starts[index + len(self._sizes)]

    def read(self, address: int) -> list[DownloadedMap]:
        """Return copies of the maps in a block at an address in host memory."""
        block = HostView(address, (self.size,), np.uint8).array()
        return [self._read_map(block, index) for index in range(len(self._sizes))]

    def _read_map(self, block: NDArray[np.generic], index: int) -> DownloadedMap:
        first, start = self.starts(index)
        height, width = self._sizes[index]
        report = block[first : first + self._report_bytes].copy()
        summary, segments = report[: SUMMARY.itemsize].view(SUMMARY)[0], report[SUMMARY.itemsize :].view(SEGMENT)
        pixels = block[start : start + height * width * self._pixel.itemsize].view(self._pixel)
        panoptic = pixels.reshape(height, width).astype(np.int32)
        return DownloadedMap(panoptic, segments[: summary["segments"]], finite=not summary["problems"])


class PendingMaps:
    """The maps of a batch whose work has been enqueued. Thread-safe.

    Args:
        gpu: The GPU.
        call: The call that computes and downloads the maps.
        layout: Where the call's slot has them.
    """

    def __init__(self, gpu: Gpu, call: Call, layout: Layout) -> None:
        self._gpu, self._call, self._layout = gpu, call, layout
        self._lock = threading.Lock()
        self._collected: tuple[list[DownloadedMap], dict[str, float]] | None = None

    def collect(self) -> tuple[list[DownloadedMap], dict[str, float]]:
        """Wait for the maps, and return them with the milliseconds that the batch took in each stage.

        The slot must not have been freed. Later calls return the same.

        Raises:
            BackendError: If the work failed.
        """
        with self._lock:
            if self._collected is None:
                slot = self._call.slot
                with self._gpu.current():
                    slot.stages["device to host"].end.synchronize()
                    milliseconds = {name: interval.milliseconds() for name, interval in slot.stages.items()}
                self._collected = self._layout.read(slot.on_host.address), milliseconds
                self._call.end()
            return self._collected
