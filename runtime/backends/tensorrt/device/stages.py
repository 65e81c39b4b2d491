"""An image's way through the GPU: up, fitted to the model's input, through the model and the merge, its map down."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.manifest import Manifest, Thresholds
from pem_edge.runtime.backends.cuda.device_arrays import DeviceArray
from pem_edge.runtime.backends.cuda.driver import Gpu, HostView, Memory, Room, copy
from pem_edge.runtime.backends.cuda.launching import Module, Stopwatch
from pem_edge.runtime.backends.cuda.pinned_pool import PinnedPool
from pem_edge.runtime.backends.tensorrt.device.tables import GeometryTables, TableSet, Uploaded
from pem_edge.runtime.backends.tensorrt.engine.session import Plan, Session
from pem_edge.runtime.backends.tensorrt.kernels import compiled, launches
from pem_edge.runtime.backends.tensorrt.kernels.arguments import CANDIDATE, SEGMENT, SUMMARY, THREADS, Merge
from pem_edge.runtime.backends.tensorrt.kernels.launches import Launch
from pem_edge.runtime.errors import BackendError

_LAPS = 5
_MAP = np.dtype(np.int32)
Image = NDArray[np.uint8] | DeviceArray


@dataclass(frozen=True, eq=False)
class Finished:
    """One image's map, int32 (H, W), its segments as SEGMENT, the time of each stage, and whether all was finite."""

    panoptic: NDArray[np.int32]
    segments: NDArray[np.void]
    milliseconds: dict[str, float]
    finite: bool


class DeviceStages:
    """Runs images through ``session``, one call at a time: not safe for threads. It ends with the session.

    Raises BackendError if the kernels cannot be had here, or the model has more queries than they take.
    """

    def __init__(self, gpu: Gpu, session: Session, manifest: Manifest) -> None:
        if manifest.queries > launches.MOST_QUERIES:
            raise BackendError(f"the kernels take {launches.MOST_QUERIES} queries, the model has {manifest.queries}")
        binaries = {name: compiled.cubin(name, gpu.compute_capability) for name in compiled.NAMES}
        self._gpu, self._session, self._spec = gpu, session, manifest.input
        self._queries, self._classes = manifest.queries, len(manifest.classes)
        report = SUMMARY.itemsize + SEGMENT.itemsize * manifest.queries
        is_thing = np.array([label.isthing for label in manifest.classes], np.uint8)
        with gpu.current(), ExitStack() as cleanup:
            self._modules = {name: _owned(cleanup, Module(binary)) for name, binary in binaries.items()}
            self._watch = _owned(cleanup, Stopwatch(session.stream, _LAPS))
            self._tables = _owned(cleanup, GeometryTables())
            self._candidates = _owned(cleanup, Memory(CANDIDATE.itemsize * manifest.queries))
            self._report = _owned(cleanup, Memory(report))
            self._report_on_host = _owned(cleanup, Memory(report, pinned=True))
            self._source, self._map = _owned(cleanup, Room()), _owned(cleanup, Room())
            self._images, self._maps = _owned(cleanup, PinnedPool(gpu)), _owned(cleanup, PinnedPool(gpu))
            self._is_thing = _owned(cleanup, Uploaded([is_thing], session.stream))
            session.synchronize()
            session.own(cleanup.pop_all().close)

    def staged(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A copy of ``image`` in page-locked memory, to be uploaded from there. Threads may call this at once."""
        with self._gpu.current():
            staging = self._images.lend(image.shape, np.uint8)
        np.copyto(staging, image)
        return np.asarray(staging, np.uint8)

    def keepable(self, staged: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What `staged` returned, as an array that a caller may keep."""
        return np.asarray(self._images.keepable(staged), np.uint8)

    def run(self, plan: Plan, image: Image, geometry: Geometry, thresholds: Thresholds) -> Finished:
        """Make a panoptic map of ``image``, RGB uint8 (H, W, 3), which was `staged` or is on the GPU."""
        with self._gpu.current():
            panoptic = self._maps.lend(geometry.output_size, _MAP)
            with self._session.working(plan):
                tables = self._enqueue_model(plan, image, geometry)
                painted = self._enqueue_merge(tables, geometry, thresholds)
                copy(panoptic.ctypes.data, painted, panoptic.nbytes, self._session.stream)
                copy(self._report_on_host.address, self._report.address, self._report.size, self._session.stream)
                self._watch.lap("device to host")
            milliseconds = self._watch.milliseconds()
            report = HostView(self._report_on_host.address, (self._report_on_host.size,), np.uint8).array().copy()
        summary, segments = report[: SUMMARY.itemsize].view(SUMMARY)[0], report[SUMMARY.itemsize :].view(SEGMENT)
        map_ = np.asarray(self._maps.keepable(panoptic), np.int32)
        return Finished(map_, segments[: summary["segments"]], milliseconds, finite=not summary["problems"])

    def outputs(self, plan: Plan, image: Image, geometry: Geometry) -> list[NDArray[Any]]:
        """What the model makes of ``image``: logits and masks."""
        with self._session.working(plan):
            self._enqueue_model(plan, image, geometry)
            arrays = self._session.results(plan)
        return self._session.keepable(arrays)

    def _enqueue_model(self, plan: Plan, image: Image, geometry: Geometry) -> TableSet:
        self._watch.start()
        tables = self._tables.of(geometry, self._session.stream)
        fits_already = geometry.output_size == geometry.image_size == geometry.padded_size
        target = self._session.address(self._spec.name)
        source = self._fetch(image, target if fits_already else None)
        self._watch.lap("host to device")
        if not fits_already:
            images = source, target
            fit = launches.fit(tables.scaling, geometry, tables.of_scaling, images, self._spec.pad_value)
            self._launch("preprocess", fit)
        self._watch.lap("preprocess")
        self._session.launch(plan)  # what the rest of a batch holds, where a model takes only batches, does not matter
        self._watch.lap("inference")
        return tables

    def _fetch(self, image: Image, target: int | None) -> int:
        """Where the image lies on the GPU: at ``target`` if that is given."""
        stream = self._session.stream
        if not isinstance(image, DeviceArray):
            target = self._source.of(image.nbytes) if target is None else target
            copy(target, image.ctypes.data, image.nbytes, stream)
            return target
        self._session.wait_for(image.stream)
        if target is None:
            return image.address
        copy(target, image.address, int(np.prod(image.shape)), stream)
        return target

    def _enqueue_merge(self, tables: TableSet, geometry: Geometry, thresholds: Thresholds) -> int:
        """The address of the map."""
        height, width = geometry.output_size
        argument = Merge(
            self._session.address("logits"),
            self._session.address("masks"),
            self._is_thing.addresses[0],
            *tables.of_grid,
            self._candidates.address,
            self._report.address,
            self._report.address + SUMMARY.itemsize,
            self._map.of(height * width * _MAP.itemsize),
            thresholds.overlap,
            thresholds.score,
            self._queries,
            self._classes,
            *geometry.mask_size,
            height,
            width,
        )
        dtypes = self._session.dtypes
        for launch in launches.merge(argument, dtypes["logits"], dtypes["masks"], tables.grid.count):
            self._launch("panoptic_merge", launch)
        self._watch.lap("postprocess")
        return int(argument.map)

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
