"""The stages from an image to its panoptic map on the GPU: up goes the image, down come its map and its segments."""

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
from pem_edge.runtime.backends.tensorrt.device.stages import DeviceStages, Finished, Image
from pem_edge.runtime.backends.tensorrt.engine.loaded import LoadedEngine
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.inference import batches, preprocess
from pem_edge.runtime.inference.host_pipeline import HostPipeline, Inferred
from pem_edge.runtime.inference.pipeline import Merged, Outputs, timed
from pem_edge.runtime.results.segments import Segment

_UPLOAD = "host to device"


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image in page-locked memory or on the GPU."""

    image: Image
    geometry: Geometry
    milliseconds: dict[str, float]


class DevicePipeline:
    """A `Pipeline` whose work on the GPU is all done in `merge`, which is where the thresholds are known.

    `prepare` copies the image to where it can be uploaded from, which another thread may do meanwhile. Of the model's
    outputs nothing is copied to the host: `Merged.outputs` runs the image through the model again, from the copy that
    it was uploaded from, so the backend must then still be open. An image on the GPU is not copied: it must stay as it
    is for as long. ``milliseconds`` are the GPU's, but for the copy, which counts as "host to device".
    """

    def __init__(self, engine: LoadedEngine, stages: DeviceStages, on_host: HostPipeline) -> None:
        self._engine, self._stages, self._on_host = engine, stages, on_host
        self._spec = engine.artifact.manifest.input
        self._things = labels.things(engine.artifact.manifest.classes)

    def prepare(self, image: Images) -> Prepared:
        """See `Pipeline`; takes arrays on the GPU, too."""
        milliseconds: dict[str, float] = {}
        with self._engine.working():
            ready: Image = self._engine.on_device(image) if device_arrays.on_gpu(image) else np.asarray(image)
            self._engine.require_image(ready.shape, ready.dtype)
            if isinstance(ready, np.ndarray):
                with timed(milliseconds, _UPLOAD):
                    ready = self._stages.staged(ready)
        size = ready.shape[0], ready.shape[1]
        return Prepared(ready, preprocess.geometry(size, self._spec), milliseconds)

    def infer(self, batch: Sequence[Prepared]) -> Sequence[Prepared]:
        """Return ``batch``: nothing that could be done before the thresholds are known would save time."""
        return batch

    def merge(self, inferred: Sequence[Prepared], thresholds: Thresholds) -> list[Merged]:
        """Run everything for a batch, see `Pipeline`."""
        images = [(prepared.image, prepared.geometry) for prepared in inferred]
        shape = max(len(images), batches.smallest(self._spec)), *images[0][1].padded_size, 3
        with self._engine.working(), self._engine.planned(shape) as plan:
            finished, milliseconds = self._stages.run(plan, images, thresholds)
        share = {stage: time / len(images) for stage, time in milliseconds.items()}
        return [
            self._merged(prepared, each, shape, share, thresholds)
            for prepared, each in zip(inferred, finished, strict=True)
        ]

    def _merged(
        self, prepared: Prepared, finished: Finished, shape: Shape, share: dict[str, float], thresholds: Thresholds
    ) -> Merged:
        image, geometry = prepared.image, prepared.geometry
        kept = self._stages.keepable(image) if isinstance(image, np.ndarray) else image
        outputs = partial(self._outputs, kept, geometry, shape)
        milliseconds = _summed(prepared.milliseconds, share)
        if not finished.finite:  # the host says what is wrong
            return self._on_host.merge([Inferred(outputs(), geometry, milliseconds)], thresholds)[0]
        segments = [self._segment(number, *row) for number, row in enumerate(finished.segments.tolist(), 1)]
        return Merged(finished.panoptic, segments, geometry, outputs, milliseconds)

    def _outputs(self, image: Image, geometry: Geometry, shape: Shape) -> Outputs:
        """Return the model's outputs for an image that was in a batch of ``shape`` before."""
        if self._engine.closed:
            raise BackendError(
                f"{self._engine.artifact.model} is closed, which computes semantic maps and instances when first "
                "asked for: ask before closing it"
            )
        with self._engine.working():
            ready = self._stages.staged(image) if isinstance(image, np.ndarray) else image
            with self._engine.planned(shape) as plan:
                logits, masks = self._stages.outputs(plan, ready, geometry)
        return logits[0].astype(np.float32, copy=False), masks[0].astype(np.float32, copy=False)

    def _segment(
        self, number: int, category: int, score: float, area: int, left: int, top: int, right: int, bottom: int
    ) -> Segment:
        bbox = left, top, right + 1 - left, bottom + 1 - top
        return Segment(number, category, "", category in self._things, score, area, bbox)


def _summed(first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
    return {**second, **{stage: time + second.get(stage, 0.0) for stage, time in first.items()}}
