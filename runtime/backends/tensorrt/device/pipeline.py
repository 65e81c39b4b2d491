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
from pem_edge.runtime.backends.tensorrt.device.stages import DeviceStages, DownloadedMap, Image
from pem_edge.runtime.backends.tensorrt.engine.loaded import LoadedEngine
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.inference import batches, preprocess
from pem_edge.runtime.inference.host_pipeline import HostPipeline, Inferred
from pem_edge.runtime.inference.pipeline import Merged, ModelOutputs, record_time
from pem_edge.runtime.results.segments import Segment

_UPLOAD = "host to device"


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


class DevicePipeline:
    """A `Pipeline` that runs all stages on the GPU.

    `prepare` copies an image into page-locked memory, which another thread may do while the GPU is busy. All work on
    the GPU happens in `merge`, because the thresholds are known only there.

    The model's outputs are not copied to the host. Instead, `Merged.outputs` runs the model again on the copied image,
    for which the backend must still be open. An image that was on the GPU is not copied, so it must not change until
    then.

    Times are measured by the GPU, except that of the copy, which is added to "host to device".

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
                with record_time(milliseconds, _UPLOAD):
                    ready = self._stages.pin(ready)
        size = ready.shape[0], ready.shape[1]
        return StagedImage(ready, preprocess.geometry(size, self._spec), milliseconds)

    def infer(self, batch: Sequence[StagedImage]) -> Sequence[StagedImage]:
        """Return ``batch``; starting work before the thresholds are known would not save time."""
        return batch

    def merge(self, inferred: Sequence[StagedImage], thresholds: Thresholds) -> list[Merged]:
        """Run all stages for a batch, see `Pipeline.merge`."""
        images = [(staged.image, staged.geometry) for staged in inferred]
        shape = max(len(images), batches.smallest(self._spec)), *images[0][1].padded_size, 3
        with self._engine.wrap_errors(), self._engine.acquire_plan(shape) as plan:
            maps, milliseconds = self._stages.run(plan, images, thresholds)
        per_image = {stage: time / len(images) for stage, time in milliseconds.items()}
        return [
            self._make_result(staged, found, shape, per_image, thresholds)
            for staged, found in zip(inferred, maps, strict=True)
        ]

    def _make_result(
        self,
        staged: StagedImage,
        found: DownloadedMap,
        shape: Shape,
        milliseconds: dict[str, float],
        thresholds: Thresholds,
    ) -> Merged:
        image, geometry = staged.image, staged.geometry
        kept = self._stages.keep(image) if isinstance(image, np.ndarray) else image
        outputs = partial(self._run_again, kept, geometry, shape)
        total = _add_times(staged.milliseconds, milliseconds)
        if not found.finite:  # raises the error that says what is wrong
            return self._on_host.merge([Inferred(outputs(), geometry, total)], thresholds)[0]
        segments = [self._make_segment(number, *row) for number, row in enumerate(found.segments.tolist(), 1)]
        return Merged(found.widen(), segments, geometry, outputs, total)

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
