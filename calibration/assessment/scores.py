"""Scores that measure how much accuracy a quantized model loses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from pem_edge.calibration.activations.collect import Images, run
from pem_edge.runtime import backends
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.geometry import STRIDE, Geometry
from pem_edge.runtime.artifacts.labels import things
from pem_edge.runtime.artifacts.manifest import Manifest
from pem_edge.runtime.backends.onnxruntime import OnnxRuntime, OnnxRuntimeOnCpu
from pem_edge.runtime.backends.ort_sessions import QDQ_OPTIMIZERS
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.errors import CalibrationError
from pem_edge.runtime.evaluation.evaluate import VOID, class_map, evaluate
from pem_edge.runtime.files import temporary_folder
from pem_edge.runtime.inference import postprocess
from pem_edge.runtime.inference.segmenter import Segmenter
from pem_edge.runtime.plurals import plural


class LabeledScore:
    """Scores a model on labeled images: by its panoptic quality (PQ), or by its mean IoU if it is for semantic maps.

    Attributes:
        measure: Which of the two.
    """

    def __init__(
        self,
        manifest: Manifest,
        dataset: Dataset,
        indices: Iterable[int] | None = None,
        backend: str | None = OnnxRuntime.name,
    ) -> None:
        """Prepare to score models.

        Args:
            manifest: The manifest of the models. Its file hashes are ignored.
            dataset: The images, labeled with the models' classes.
            indices: The indices of the images to score; all by default.
            backend: The backend that runs the models, a key of `BACKENDS`. With None, ONNX Runtime computes each Q/DQ
                pair as written, without fusing it. This agrees with TensorRT up to rounding, even for a model whose
                other layers are in half precision.
        """
        self._manifest, self._dataset, self._backend = manifest, dataset, backend
        self._indices = None if indices is None else list(indices)
        self.measure: Literal["PQ", "mean IoU"] = "mean IoU" if manifest.task == "semantic" else "PQ"

    def __call__(self, model: onnx.ModelProto) -> float:
        """Return the score in percent, or 0 if no image has a segment.

        Raises:
            InputError: If an image cannot be read.
            BackendError: If the backend cannot run the model.
        """
        with temporary_folder() as folder:
            artifact = Artifact(folder / "model.onnx", self._manifest)
            onnx.save(model, artifact.model)
            backend = backends.create(self._backend, artifact) if self._backend else _UnfusedOnnxRuntime(artifact)
            with Segmenter(backend, self._manifest.thresholds) as segmenter:
                return self._score(segmenter) or 0.0

    def _score(self, segmenter: Segmenter) -> float | None:
        panoptic = self.measure == "PQ"
        found = evaluate(segmenter, self._dataset, self._indices, semantic=not panoptic, panoptic=panoptic)
        return found.quality["all"]["pq"] if found.iou is None else found.iou["miou"]


class _UnfusedOnnxRuntime(OnnxRuntimeOnCpu):
    """ONNX Runtime that computes Q/DQ pairs as they are written."""

    def _disabled_optimizers(self) -> Sequence[str]:
        return QDQ_OPTIMIZERS


class Agreement:
    """Scores a model, without labels, by the percentage of pixels to which it gives the same class as a reference.

    The classes are those of the semantic map. Of a model for instances they are those of the merged segments, because
    its semantic map is arbitrary outside them, and pixels without a segment in both maps do not count: a model that
    finds nothing would agree on all of the background.
    """

    def __init__(self, manifest: Manifest, reference: onnx.ModelProto, images: Images) -> None:
        """Run the reference.

        Args:
            manifest: The manifest of the models.
            reference: The model to agree with, usually that in single precision.
            images: The images to run models on.

        Raises:
            InputError: If an image cannot be read.
            CalibrationError: If the reference finds no segment in any image, and is for instances.
        """
        self._manifest, self._images = manifest, images
        self._expected = list(self._class_maps(reference))
        if all((classes == VOID).all() for classes in self._expected):
            raise CalibrationError(
                f"the model finds no object in {plural(len(images), 'image')}, so that nothing shows what INT8 costs: "
                "calibrate on images with objects, or lower --score-threshold"
            )

    def __call__(self, model: onnx.ModelProto) -> float:
        """Return the percentage of the pixels of all images. Raises InputError."""
        same = counted = 0
        for found, expected in zip(self._class_maps(model), self._expected, strict=True):
            segmented = (found != VOID) | (expected != VOID)
            same += int(np.count_nonzero(segmented & (found == expected)))
            counted += int(np.count_nonzero(segmented))
        return 100 * same / counted

    def _class_maps(self, model: onnx.ModelProto) -> Iterator[NDArray[np.int32]]:
        """Yield, for each image, the class of each pixel of the masks, int32 (H/4, W/4), or `VOID`."""
        for logits, masks in run(model, ["logits", "masks"], self._images):
            size = masks.shape[2], masks.shape[3]
            padded = STRIDE * size[0], STRIDE * size[1]
            yield self._classify(logits[0], masks[0], Geometry(padded, padded, size))

    def _classify(
        self, logits: NDArray[np.float32], masks: NDArray[np.float32], geometry: Geometry
    ) -> NDArray[np.int32]:
        if self._manifest.task != "instance":
            return postprocess.classify_pixels(logits, masks, geometry)
        separate = things(self._manifest.classes)
        return class_map(*postprocess.merge(logits, masks, geometry, separate, self._manifest.thresholds))
