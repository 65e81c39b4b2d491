"""The pipeline that runs all stages on the GPU, uploading images and downloading only maps and segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.manifest import Thresholds
from pem_edge.runtime.backends.contract import Shape
from pem_edge.runtime.backends.cuda import device_arrays
from pem_edge.runtime.backends.cuda.device_arrays import Images
from pem_edge.runtime.backends.tensorrt.device.maps import DownloadedMap, PendingMaps
from pem_edge.runtime.backends.tensorrt.device.slots import STAGES
from pem_edge.runtime.backends.tensorrt.device.stages import DeviceStages, Image
from pem_edge.runtime.backends.tensorrt.engine.loaded import LoadedEngine
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.inference import batches, preprocess
from pem_edge.runtime.inference.host_pipeline import HostPipeline, Inferred
from pem_edge.runtime.inference.pipeline import Merged, ModelOutputs, record_time
from pem_edge.runtime.results.segments import Segment


@dataclass(frozen=True, eq=False)
class StagedImage:
    """An image from which the GPU can read.

    Attributes:
        image: The image.
        geometry: The image's sizes on its way through the model.
        milliseconds: The time of each stage so far.
    """

    image: Image
    geometry: Geometry
    milliseconds: dict[str, float]


@dataclass(frozen=True, eq=False)
class StartedBatch:
    """A batch on which the GPU works.

    Attributes:
        images: The batch's images.
        shape: The shape of the model's input.
        thresholds: The thresholds of the merge.
        pending: The maps to come.
    """

    images: Sequence[StagedImage]
    shape: Shape
    thresholds: Thresholds
    pending: PendingMaps


class DevicePipeline:
    """A `Pipeline` that runs all stages on the GPU.

    `prepare` copies an image into page-locked memory. `infer` enqueues all of a batch's work on the GPU, from upload to
    download, and does not wait for it; `merge` does. So the GPU may have work of several batches before it, and
    transfers overlap the kernels of other batches. Each batch between `infer` and the end of `merge` has memory of its
    own for images and maps: one batch if a single thread calls; in a stream three, of a live source two.

    The model's outputs are not copied to the host. Instead, `Merged.outputs` runs the model again on the copied image,
    for which the backend must still be open. An image that was on the GPU is not copied, so it must neither change nor
    be freed until then.

    Times are measured by the GPU, except that of the copy, which is added to the first stage.

    Args:
        engine: The engine.
        stages: The stages that run on the GPU.
        on_host: Merges outputs that are not finite, in order to raise the error that describes them.
    """

    def __init__(self, engine: LoadedEngine, stages: DeviceStages, on_host: HostPipeline) -> None:
        self._engine, self._stages, self._on_host = engine, stages, on_host
        self._spec = engine.artifact.manifest.input
        self._things = labels.things(engine.artifact.manifest.classes)

    def prepare(self, image: Images) -> StagedImage:
        """Copy an image, RGB uint8 (H, W, 3), into page-locked memory, unless it is on the GPU already."""
        milliseconds: dict[str, float] = {}
        with self._engine.wrap_errors():
            ready: Image = self._engine.locate(image) if device_arrays.on_gpu(image) else np.asarray(image)
            self._engine.require_image(ready.shape, ready.dtype)
            if isinstance(ready, np.ndarray):
                with record_time(milliseconds, STAGES[0]):
                    ready = self._stages.pin(ready)
        size = ready.shape[0], ready.shape[1]
        return StagedImage(ready, preprocess.geometry(size, self._spec), milliseconds)

    def infer(self, batch: Sequence[StagedImage], thresholds: Thresholds) -> StartedBatch:
        """Start all work for a batch, see `Pipeline.infer`."""
        images = [(staged.image, staged.geometry) for staged in batch]
        shape = max(len(images), batches.smallest(self._spec)), *images[0][1].padded_size, 3
        with self._engine.wrap_errors(), self._engine.acquire_plan(shape) as plan:
            return StartedBatch(batch, shape, thresholds, self._stages.start(plan, images, thresholds))

    def merge(self, inferred: StartedBatch) -> list[Merged]:
        """Wait for the maps of a batch, see `Pipeline.merge`."""
        with self._engine.wrap_errors(), self._engine.keep_open():
            maps, milliseconds = inferred.pending.collect()
        per_image = {stage: time / len(maps) for stage, time in milliseconds.items()}
        return [
            self._make_result(staged, found, inferred, per_image)
            for staged, found in zip(inferred.images, maps, strict=True)
        ]

    def _make_result(
        self, staged: StagedImage, found: DownloadedMap, batch: StartedBatch, milliseconds: dict[str, float]
    ) -> Merged:
        image, geometry = staged.image, staged.geometry
        kept = self._stages.keep(image) if isinstance(image, np.ndarray) else image
        outputs = partial(self._run_again, kept, geometry, batch.shape)
        total = _add_times(staged.milliseconds, milliseconds)
        if not found.finite:  # raises the error that says what is wrong
            return self._on_host.merge([Inferred(outputs(), geometry, batch.thresholds, total)])[0]
        segments = [self._make_segment(number, *row) for number, row in enumerate(found.segments.tolist(), 1)]
        return Merged(found.panoptic, segments, geometry, outputs, total)

    def _run_again(self, image: Image, geometry: Geometry, shape: Shape) -> ModelOutputs:
        """Return the model's outputs for an image that was already in a batch of ``shape``."""
        if self._engine.closed:
            raise BackendError(
                f"{self._engine.artifact.model} is closed, which computes semantic maps and instances when first "
                "asked for: ask before closing it"
            )
        with self._engine.wrap_errors():
            ready = self._stages.pin(image) if isinstance(image, np.ndarray) else image
            with self._engine.acquire_plan(shape) as plan:
                logits, masks = self._stages.outputs(plan, ready, geometry)
        return logits[0].astype(np.float32, copy=False), masks[0].astype(np.float32, copy=False)

    def _make_segment(
        self, number: int, category: int, score: float, area: int, left: int, top: int, right: int, bottom: int
    ) -> Segment:
        bbox = left, top, right + 1 - left, bottom + 1 - top
        return Segment(number, category, "", category in self._things, score, area, bbox)


def _add_times(first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
    return {**second, **{stage: time + second.get(stage, 0.0) for stage, time in first.items()}}
