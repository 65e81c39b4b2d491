"""Runs images through all stages on the GPU: upload, preprocessing, model, merge and download of the maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.manifest import Manifest, Thresholds
from pem_edge.runtime.backends.cuda.device_arrays import DeviceArray
from pem_edge.runtime.backends.cuda.driver import Gpu, GrowingMemory, HostView, Memory, copy
from pem_edge.runtime.backends.cuda.launching import Module, StageTimer
from pem_edge.runtime.backends.cuda.pinned_pool import PinnedPool
from pem_edge.runtime.backends.tensorrt.device.tables import GeometryTables, TableSet, UploadedArrays
from pem_edge.runtime.backends.tensorrt.engine.session import Plan, Session
from pem_edge.runtime.backends.tensorrt.kernels import compiled, launches
from pem_edge.runtime.backends.tensorrt.kernels.arguments import (
    CANDIDATE,
    SEGMENT,
    SUMMARY,
    THREADS,
    MergeArguments,
    map_dtype,
)
from pem_edge.runtime.backends.tensorrt.kernels.launches import Launch
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.inference import batches

_CHANNELS = 3
Image = NDArray[np.uint8] | DeviceArray
"""An image, RGB uint8 (H, W, 3), in page-locked memory (see `DeviceStages.pin`) or on the GPU."""


@dataclass(frozen=True, eq=False)
class DownloadedMap:
    """The panoptic map of one image, in host memory.

    Attributes:
        panoptic: The panoptic map, uint8 or uint16 (H, W), in page-locked memory, see `widen`.
        segments: The map's segments, of the dtype SEGMENT.
        finite: Whether all outputs of the model were finite; if not, the map and the segments are meaningless.
    """

    panoptic: NDArray[np.generic]
    segments: NDArray[np.void]
    finite: bool

    def widen(self) -> NDArray[np.int32]:
        """Return the map in the type that results have, in ordinary memory."""
        return self.panoptic.astype(np.int32)


class DeviceStages:
    """Runs images through the stages. Not thread-safe, except `pin`. Closed by the session.

    Args:
        gpu: The session's GPU.
        session: Runs the model.
        manifest: The model's manifest.

    Raises:
        BackendError: If the kernels cannot be compiled, the model has more queries than they accept, or there is not
            enough memory.
    """

    def __init__(self, gpu: Gpu, session: Session, manifest: Manifest) -> None:
        if manifest.queries > launches.MAX_QUERIES:
            raise BackendError(f"the kernels take {launches.MAX_QUERIES} queries, the model has {manifest.queries}")
        binaries = {name: compiled.cubin(name, gpu.compute_capability) for name in compiled.NAMES}
        self._gpu, self._session, self._spec = gpu, session, manifest.input
        self._queries, self._classes = manifest.queries, len(manifest.classes)
        self._pixel = map_dtype(manifest.queries)
        self._report_bytes = SUMMARY.itemsize + SEGMENT.itemsize * manifest.queries
        is_thing = np.array([label.isthing for label in manifest.classes], np.uint8)
        max_batch = batches.largest(manifest.input)
        with gpu.current(), ExitStack() as cleanup:
            own = cleanup.enter_context
            self._modules = {name: own(closing(Module(binary))) for name, binary in binaries.items()}
            self._timer = own(closing(StageTimer(session.stream)))
            self._tables = own(closing(GeometryTables(max_batch)))
            self._candidates = own(closing(Memory(CANDIDATE.itemsize * manifest.queries)))
            self._report = own(closing(Memory(self._report_bytes)))
            self._reports_on_host = own(closing(Memory(self._report_bytes * max_batch, pinned=True)))
            self._source, self._map = own(closing(GrowingMemory())), own(closing(GrowingMemory()))
            self._images, self._maps = own(closing(PinnedPool(gpu))), own(closing(PinnedPool(gpu)))
            self._is_thing = own(closing(UploadedArrays([is_thing], session.stream)))
            session.synchronize()
            session.call_on_close(cleanup.pop_all().close)

    def pin(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a copy of ``image`` in page-locked memory, from where `run` can upload it. Thread-safe."""
        with self._gpu.current():
            staging = self._images.allocate(image.shape, np.uint8)
        np.copyto(staging, image)
        return np.asarray(staging, np.uint8)

    def keep(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what `pin` returned as an array that a caller may keep."""
        return np.asarray(self._images.keep(image), np.uint8)

    def run(
        self, plan: Plan, images: Sequence[tuple[Image, Geometry]], thresholds: Thresholds
    ) -> tuple[list[DownloadedMap], dict[str, float]]:
        """Compute the panoptic maps of a batch.

        Args:
            plan: The session's plan for a batch of the images' padded size, with room for all of them.
            images: Each image with its sizes.
            thresholds: The thresholds of the merge.

        Returns:
            The map of each image, and the milliseconds that the batch took in each stage.

        Raises:
            BackendError: If a call of CUDA or TensorRT fails.
        """
        with self._gpu.current():
            self._map.reserve(max(math.prod(geometry.output_size) * self._pixel.itemsize for _, geometry in images))
            maps = [self._maps.allocate(geometry.output_size, self._pixel) for _, geometry in images]
            with self._session.work(plan):
                tables = self._enqueue_model(plan, images)
                for index, ((_, geometry), table, map_) in enumerate(zip(images, tables, maps, strict=True)):
                    self._enqueue_merge(index, table, geometry, thresholds)
                    self._enqueue_download(index, map_)
            return [self._collect(index, map_) for index, map_ in enumerate(maps)], self._timer.milliseconds()

    def outputs(self, plan: Plan, image: Image, geometry: Geometry) -> list[NDArray[np.generic]]:
        """Run the model on a batch whose first image is ``image``, and return the batch's class and mask logits."""
        with self._session.work(plan):
            self._enqueue_model(plan, [(image, geometry)])
            arrays = self._session.download(plan)
        return self._session.keep(arrays)

    def _enqueue_model(self, plan: Plan, images: Sequence[tuple[Image, Geometry]]) -> list[TableSet]:
        self._source.reserve(max(math.prod(image.shape) for image, _ in images))
        self._timer.start()
        tables = [self._enqueue_fit(index, image, geometry) for index, (image, geometry) in enumerate(images)]
        # A model with a fixed batch size may get fewer images; the contents of the remaining ones do not matter.
        self._session.launch(plan)
        self._timer.end("inference")
        return tables

    def _enqueue_fit(self, index: int, image: Image, geometry: Geometry) -> TableSet:
        """Upload ``image``, and write it, fitted to the model's input, into the batch at ``index``."""
        tables = self._tables.get(geometry, self._session.stream)
        fits_already = geometry.output_size == geometry.image_size == geometry.padded_size
        target = self._session.address(self._spec.name) + index * math.prod(geometry.padded_size) * _CHANNELS
        source = self._upload(image, target if fits_already else None)
        self._timer.end("host to device")
        if not fits_already:
            images = source, target
            fit = launches.fit(tables.scaling, geometry, tables.scaling_addresses, images, self._spec.pad_value)
            self._launch("preprocess", fit)
        self._timer.end("preprocess")
        return tables

    def _upload(self, image: Image, target: int | None) -> int:
        """Return the image's address on the GPU: ``target`` if given, else any address."""
        stream = self._session.stream
        if not isinstance(image, DeviceArray):
            target = self._source.address if target is None else target
            copy(target, image.ctypes.data, image.nbytes, stream)
            return target
        self._session.wait_for(image.stream)
        if target is None:
            return image.address
        copy(target, image.address, int(np.prod(image.shape)), stream)
        return target

    def _enqueue_merge(self, index: int, tables: TableSet, geometry: Geometry, thresholds: Thresholds) -> None:
        """Merge the outputs of the image at ``index`` in the batch into the map and the report."""
        height, width = geometry.output_size
        dtypes = self._session.dtypes
        logits = index * self._queries * (self._classes + 1) * dtypes["logits"].itemsize
        masks = index * self._queries * math.prod(geometry.mask_size) * dtypes["masks"].itemsize
        argument = MergeArguments(
            self._session.address("logits") + logits,
            self._session.address("masks") + masks,
            self._is_thing.addresses[0],
            *tables.grid_addresses,
            self._candidates.address,
            self._report.address,
            self._report.address + SUMMARY.itemsize,
            self._map.address,
            thresholds.overlap,
            thresholds.score,
            self._queries,
            self._classes,
            *geometry.mask_size,
            height,
            width,
        )
        for launch in launches.merge(argument, dtypes["logits"], dtypes["masks"], tables.grid.count, self._pixel):
            self._launch("panoptic_merge", launch)
        self._timer.end("postprocess")

    def _enqueue_download(self, index: int, panoptic: NDArray[np.generic]) -> None:
        """Copy the map and the report to the host, before the next merge overwrites both."""
        stream = self._session.stream
        copy(panoptic.ctypes.data, self._map.address, panoptic.nbytes, stream)
        copy(self._report_address(index), self._report.address, self._report_bytes, stream)
        self._timer.end("device to host")

    def _collect(self, index: int, panoptic: NDArray[np.generic]) -> DownloadedMap:
        """Return the downloaded map of the image at ``index``. The stream must have been synchronized."""
        report = HostView(self._report_address(index), (self._report_bytes,), np.uint8).array().copy()
        summary, segments = report[: SUMMARY.itemsize].view(SUMMARY)[0], report[SUMMARY.itemsize :].view(SEGMENT)
        return DownloadedMap(panoptic, segments[: summary["segments"]], finite=not summary["problems"])

    def _report_address(self, index: int) -> int:
        return self._reports_on_host.address + index * self._report_bytes

    def _launch(self, module: str, launch: Launch) -> None:
        self._modules[module].launch(
            launch.kernel, launch.blocks, THREADS, launch.shared, launch.argument, self._session.stream
        )
