"""An image's way through the GPU: up, fitted to the model's input, through the model and the merge, its map down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.manifest import Manifest, Thresholds
from pem_edge.runtime.backends.cuda.device_arrays import DeviceArray
from pem_edge.runtime.backends.cuda.driver import Gpu, GrowingMemory, HostView, Memory, copy
from pem_edge.runtime.backends.cuda.launching import Module, StageTimer
from pem_edge.runtime.backends.cuda.pinned_pool import PinnedPool
from pem_edge.runtime.backends.tensorrt.device.tables import GeometryTables, TableSet, Uploaded
from pem_edge.runtime.backends.tensorrt.engine.session import Plan, Session
from pem_edge.runtime.backends.tensorrt.kernels import compiled, launches
from pem_edge.runtime.backends.tensorrt.kernels.arguments import CANDIDATE, SEGMENT, SUMMARY, THREADS, Merge
from pem_edge.runtime.backends.tensorrt.kernels.launches import Launch
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.inference import batches

_CHANNELS = 3
_MAP = np.dtype(np.int32)
Image = NDArray[np.uint8] | DeviceArray


@dataclass(frozen=True, eq=False)
class Finished:
    """What came out for one image.

    Attributes:
        panoptic: The panoptic map, int32 (H, W).
        segments: The map's segments, of the dtype SEGMENT.
        finite: Whether all outputs of the model were finite; if not, the map and the segments mean nothing.
    """

    panoptic: NDArray[np.int32]
    segments: NDArray[np.void]
    finite: bool


class DeviceStages:
    """Runs images through ``session``, one call at a time: not safe for threads. It ends with the session.

    Raises BackendError if the kernels are not available here, or the model has more queries than they take.
    """

    def __init__(self, gpu: Gpu, session: Session, manifest: Manifest) -> None:
        if manifest.queries > launches.MOST_QUERIES:
            raise BackendError(f"the kernels take {launches.MOST_QUERIES} queries, the model has {manifest.queries}")
        binaries = {name: compiled.cubin(name, gpu.compute_capability) for name in compiled.NAMES}
        self._gpu, self._session, self._spec = gpu, session, manifest.input
        self._queries, self._classes = manifest.queries, len(manifest.classes)
        self._report_bytes = SUMMARY.itemsize + SEGMENT.itemsize * manifest.queries
        is_thing = np.array([label.isthing for label in manifest.classes], np.uint8)
        with gpu.current(), ExitStack() as cleanup:
            self._modules = {name: _owned(cleanup, Module(binary)) for name, binary in binaries.items()}
            self._timer = _owned(cleanup, StageTimer(session.stream))
            self._tables = _owned(cleanup, GeometryTables(batches.largest(manifest.input)))
            self._candidates = _owned(cleanup, Memory(CANDIDATE.itemsize * manifest.queries))
            self._report = _owned(cleanup, Memory(self._report_bytes))
            reports = self._report_bytes * batches.largest(manifest.input)
            self._reports_on_host = _owned(cleanup, Memory(reports, pinned=True))
            self._source, self._map = _owned(cleanup, GrowingMemory()), _owned(cleanup, GrowingMemory())
            self._images, self._maps = _owned(cleanup, PinnedPool(gpu)), _owned(cleanup, PinnedPool(gpu))
            self._is_thing = _owned(cleanup, Uploaded([is_thing], session.stream))
            session.synchronize()
            session.own(cleanup.pop_all().close)

    def staged(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a copy of ``image`` in page-locked memory, to be uploaded from there. Threads may share this."""
        with self._gpu.current():
            staging = self._images.lend(image.shape, np.uint8)
        np.copyto(staging, image)
        return np.asarray(staging, np.uint8)

    def keepable(self, staged: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what `staged` returned as an array that a caller may keep."""
        return np.asarray(self._images.keepable(staged), np.uint8)

    def run(
        self, plan: Plan, images: Sequence[tuple[Image, Geometry]], thresholds: Thresholds
    ) -> tuple[list[Finished], dict[str, float]]:
        """Make the panoptic maps of a batch of images.

        Args:
            plan: The session's plan for at least as many images of their padded size.
            images: RGB uint8 (H, W, 3), each `staged` or on the GPU, with its sizes.
            thresholds: The thresholds of the merge.

        Returns:
            What came out for each image, and the milliseconds that the batch took in each stage.
        """
        with self._gpu.current():
            self._map.reserve(max(math.prod(geometry.output_size) * _MAP.itemsize for _, geometry in images))
            maps = [self._maps.lend(geometry.output_size, _MAP) for _, geometry in images]
            with self._session.working(plan):
                tables = self._enqueue_model(plan, images)
                for index, ((_, geometry), table, map_) in enumerate(zip(images, tables, maps, strict=True)):
                    self._enqueue_merge(index, table, geometry, thresholds)
                    self._enqueue_download(index, map_)
            return [self._finished(index, map_) for index, map_ in enumerate(maps)], self._timer.milliseconds()

    def outputs(self, plan: Plan, image: Image, geometry: Geometry) -> list[NDArray[np.generic]]:
        """Return the model's logits and masks for ``image``, the first of a batch."""
        with self._session.working(plan):
            self._enqueue_model(plan, [(image, geometry)])
            arrays = self._session.results(plan)
        return self._session.keepable(arrays)

    def _enqueue_model(self, plan: Plan, images: Sequence[tuple[Image, Geometry]]) -> list[TableSet]:
        self._source.reserve(max(math.prod(image.shape) for image, _ in images))
        self._timer.start()
        tables = [self._enqueue_fit(index, image, geometry) for index, (image, geometry) in enumerate(images)]
        self._session.launch(plan)  # what the rest of a batch holds, where a model takes only batches, does not matter
        self._timer.end("inference")
        return tables

    def _enqueue_fit(self, index: int, image: Image, geometry: Geometry) -> TableSet:
        """Bring ``image`` to the GPU and, fitted to the model's input, to its place in the batch."""
        tables = self._tables.of(geometry, self._session.stream)
        fits_already = geometry.output_size == geometry.image_size == geometry.padded_size
        target = self._session.address(self._spec.name) + index * math.prod(geometry.padded_size) * _CHANNELS
        source = self._fetch(image, target if fits_already else None)
        self._timer.end("host to device")
        if not fits_already:
            addresses = source, target
            fit = launches.fit(tables.scaling, geometry, tables.of_scaling, addresses, self._spec.pad_value)
            self._launch("preprocess", fit)
        self._timer.end("preprocess")
        return tables

    def _fetch(self, image: Image, target: int | None) -> int:
        """Return where the image lies on the GPU: at ``target`` if that is given."""
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
        """Merge the outputs of the image at ``index`` of the batch into the map and the report."""
        height, width = geometry.output_size
        dtypes = self._session.dtypes
        logits = index * self._queries * (self._classes + 1) * dtypes["logits"].itemsize
        masks = index * self._queries * math.prod(geometry.mask_size) * dtypes["masks"].itemsize
        argument = Merge(
            self._session.address("logits") + logits,
            self._session.address("masks") + masks,
            self._is_thing.addresses[0],
            *tables.of_grid,
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
        for launch in launches.merge(argument, dtypes["logits"], dtypes["masks"], tables.grid.count):
            self._launch("panoptic_merge", launch)
        self._timer.end("postprocess")

    def _enqueue_download(self, index: int, panoptic: NDArray[np.generic]) -> None:
        """Copy the map to ``panoptic`` and the report to its place, before the next merge writes over both."""
        stream = self._session.stream
        copy(panoptic.ctypes.data, self._map.address, panoptic.nbytes, stream)
        copy(self._report_address(index), self._report.address, self._report_bytes, stream)
        self._timer.end("device to host")

    def _finished(self, index: int, panoptic: NDArray[np.generic]) -> Finished:
        """Return what the downloads of an image brought, once the stream has been synchronized."""
        report = HostView(self._report_address(index), (self._report_bytes,), np.uint8).array().copy()
        summary, segments = report[: SUMMARY.itemsize].view(SUMMARY)[0], report[SUMMARY.itemsize :].view(SEGMENT)
        map_ = np.asarray(self._maps.keepable(panoptic), np.int32)
        return Finished(map_, segments[: summary["segments"]], finite=not summary["problems"])

    def _report_address(self, index: int) -> int:
        return self._reports_on_host.address + index * self._report_bytes

    def _launch(self, module: str, launch: Launch) -> None:
        self._modules[module].launch(
            launch.kernel, launch.blocks, THREADS, launch.shared, launch.argument, self._session.stream
        )


class _Closeable(Protocol):
    def close(self) -> None: ...


_Resource = TypeVar("_Resource", bound=_Closeable)


def _owned(cleanup: ExitStack, resource: _Resource) -> _Resource:
    cleanup.callback(resource.close)
    return resource
