"""Runs images through all stages on the GPU: upload, preprocessing, model, merge and download of the maps.

Uploads, the kernels and downloads each have a stream, on which the work of calls follows one another. Within a call,
events make each stream wait for the one before. So the upload of the next image and the download of the last map
overlap the kernels of the image between them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.manifest import Manifest, Thresholds
from pem_edge.runtime.backends.cuda.device_arrays import DeviceArray
from pem_edge.runtime.backends.cuda.driver import Gpu, Memory, offsets
from pem_edge.runtime.backends.cuda.launching import Module
from pem_edge.runtime.backends.cuda.pinned_pool import PinnedPool
from pem_edge.runtime.backends.cuda.streams import Stream
from pem_edge.runtime.backends.tensorrt.device.maps import Layout, PendingMaps
from pem_edge.runtime.backends.tensorrt.device.slots import Slot, Slots
from pem_edge.runtime.backends.tensorrt.device.tables import GeometryTables, TableSet, UploadedArrays
from pem_edge.runtime.backends.tensorrt.engine.session import Plan, Session
from pem_edge.runtime.backends.tensorrt.kernels import compiled, launches
from pem_edge.runtime.backends.tensorrt.kernels.arguments import CANDIDATE, SUMMARY, THREADS, MergeArguments, map_dtype
from pem_edge.runtime.backends.tensorrt.kernels.launches import Launch
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.inference import batches

_CHANNELS = 3
Image = NDArray[np.uint8] | DeviceArray
"""An image, RGB uint8 (H, W, 3), in page-locked memory (see `DeviceStages.pin`) or on the GPU."""


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
        is_thing = np.array([label.isthing for label in manifest.classes], np.uint8)
        with gpu.current(), ExitStack() as cleanup:
            own = cleanup.enter_context
            self._kernels = session.stream
            self._uploads, self._downloads = own(closing(Stream())), own(closing(Stream()))
            self._modules = {name: own(closing(Module(binary))) for name, binary in binaries.items()}
            self._tables = own(closing(GeometryTables(self._kernels, batches.largest(manifest.input))))
            self._candidates = own(closing(Memory(CANDIDATE.itemsize * manifest.queries)))
            self._images = own(closing(PinnedPool(gpu)))
            self._is_thing = own(closing(UploadedArrays([is_thing], self._kernels)))
            self._kernels.synchronize()
            streams = self._uploads, self._kernels, self._downloads
            self._slots = own(closing(Slots(streams)))  # closed first, which waits for pending work
            session.call_on_close(cleanup.pop_all().close)

    def pin(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a copy of ``image`` in page-locked memory, from where it can be uploaded. Thread-safe."""
        with self._gpu.current():
            staging = self._images.allocate(image.shape, np.uint8)
        np.copyto(staging, image)
        return np.asarray(staging, np.uint8)

    def keep(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what `pin` returned as an array that a caller may keep."""
        return np.asarray(self._images.keep(image), np.uint8)

    def start(self, plan: Plan, images: Sequence[tuple[Image, Geometry]], thresholds: Thresholds) -> PendingMaps:
        """Enqueue all work for a batch, without waiting for it.

        Args:
            plan: The session's plan for a batch of the images' padded size, with room for all of them.
            images: Each image with its sizes.
            thresholds: The thresholds of the merge.

        Raises:
            BackendError: If a call of CUDA or TensorRT fails, or there is not enough memory.
        """
        layout = Layout([geometry.output_size for _, geometry in images], self._queries, self._pixel)
        with self._gpu.current(), self._settled_after_errors():
            call = self._slots.begin([image for image, _ in images])
            call.slot.found.reserve(layout.size)
            call.slot.on_host.reserve(layout.size)
            tables = self._enqueue_model(call.slot, plan, images)
            self._enqueue_merges(call.slot, layout, tables, [geometry for _, geometry in images], thresholds)
            self._enqueue_download(call.slot, layout.size)
            self._session.complete_first_run(plan)
        return PendingMaps(self._gpu, call, layout)

    def outputs(self, plan: Plan, image: Image, geometry: Geometry) -> list[NDArray[np.generic]]:
        """Run the model on a batch whose first image is ``image``, and return the batch's class and mask logits."""
        with self._session.work(plan), self._settled_after_errors():
            call = self._slots.begin([image])
            self._enqueue_model(call.slot, plan, [(image, geometry)])
            arrays = self._session.download(plan)
        call.end()
        return self._session.keep(arrays)

    @contextmanager
    def _settled_after_errors(self) -> Iterator[None]:
        """Wait for all work if the block fails, because its images may be freed then."""
        try:
            yield
        except BaseException:
            self._slots.settle()
            raise

    def _enqueue_model(self, slot: Slot, plan: Plan, images: Sequence[tuple[Image, Geometry]]) -> list[TableSet]:
        sources = self._enqueue_upload(slot, [image for image, _ in images])
        tables = [self._tables.get(geometry) for _, geometry in images]
        self._kernels.wait_for(slot.stages["host to device"].end)
        with slot.stages["preprocess"].on(self._kernels):
            for index, (source, table, (_, geometry)) in enumerate(zip(sources, tables, images, strict=True)):
                self._enqueue_fit(index, source, table, geometry)
        with slot.stages["inference"].on(self._kernels):
            # A model with a fixed batch size may get fewer images; the contents of the remaining ones do not matter.
            plan.launch(self._kernels)
        return tables

    def _enqueue_upload(self, slot: Slot, images: Sequence[Image]) -> list[int]:
        """Upload the images that are in host memory, and return the address of each image on the GPU."""
        starts = offsets(0 if isinstance(image, DeviceArray) else image.nbytes for image in images)
        slot.source.reserve(starts[-1])
        addresses = []
        with slot.stages["host to device"].on(self._uploads):
            for image, start in zip(images, starts, strict=False):
                if isinstance(image, DeviceArray):
                    self._session.wait_for(image.stream)
                    addresses.append(image.address)
                else:
                    addresses.append(slot.source.address + start)
                    self._uploads.copy(addresses[-1], image.ctypes.data, image.nbytes)
        return addresses

    def _enqueue_fit(self, index: int, source: int, tables: TableSet, geometry: Geometry) -> None:
        """Write the image at ``source``, fitted to the model's input, into the batch at ``index``."""
        size = math.prod(geometry.padded_size) * _CHANNELS
        target = self._session.address(self._spec.name) + index * size
        if geometry.output_size == geometry.image_size == geometry.padded_size:
            self._kernels.copy(target, source, size)
            return
        images = source, target
        fit = launches.fit(tables.scaling, geometry, tables.scaling_addresses, images, self._spec.pad_value)
        self._launch("preprocess", fit)

    def _enqueue_merges(
        self,
        slot: Slot,
        layout: Layout,
        tables: Sequence[TableSet],
        geometries: Sequence[Geometry],
        thresholds: Thresholds,
    ) -> None:
        """Merge the outputs of each image into its report and map."""
        dtypes = self._session.dtypes
        with slot.stages["postprocess"].on(self._kernels):
            for index, (table, geometry) in enumerate(zip(tables, geometries, strict=True)):
                report, map_ = (slot.found.address + start for start in layout.starts(index))
                argument = self._merge_arguments(index, table, geometry, thresholds, report, map_)
                taps = table.grid.count
                for launch in launches.merge(argument, dtypes["logits"], dtypes["masks"], taps, self._pixel):
                    self._launch("panoptic_merge", launch)

    def _merge_arguments(
        self, index: int, tables: TableSet, geometry: Geometry, thresholds: Thresholds, report: int, map_: int
    ) -> MergeArguments:
        """Return the argument that merges the outputs of the image at ``index`` in the batch."""
        dtypes = self._session.dtypes
        logits = index * self._queries * (self._classes + 1) * dtypes["logits"].itemsize
        masks = index * self._queries * math.prod(geometry.mask_size) * dtypes["masks"].itemsize
        return MergeArguments(
            self._session.address("logits") + logits,
            self._session.address("masks") + masks,
            self._is_thing.addresses[0],
            *tables.grid_addresses,
            self._candidates.address,
            report,
            report + SUMMARY.itemsize,
            map_,
            thresholds.overlap,
            thresholds.score,
            self._queries,
            self._classes,
            *geometry.mask_size,
            *geometry.output_size,
        )

    def _enqueue_download(self, slot: Slot, size: int) -> None:
        self._downloads.wait_for(slot.stages["postprocess"].end)
        with slot.stages["device to host"].on(self._downloads):
            self._downloads.copy(slot.on_host.address, slot.found.address, size)

    def _launch(self, module: str, launch: Launch) -> None:
        self._modules[module].launch(
            launch.kernel, launch.blocks, THREADS, launch.shared, launch.argument, self._kernels
        )
