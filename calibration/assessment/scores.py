"""Scores that measure how much accuracy a quantized model loses."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from numpy.typing import NDArray

from pem_edge.calibration.activations.collect import Images, run
from pem_edge.calibration.graph.running import session
from pem_edge.runtime import backends
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.geometry import STRIDE
from pem_edge.runtime.artifacts.manifest import Manifest
from pem_edge.runtime.backends.onnxruntime import OnnxRuntime
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.evaluation.evaluate import evaluate
from pem_edge.runtime.files import temporary_folder
from pem_edge.runtime.inference import postprocess
from pem_edge.runtime.inference.segmenter import Segmenter


class PanopticScore:
    """Scores a model by its panoptic quality (PQ) on labeled images."""

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
            dataset: The labeled images.
            indices: The indices of the images to score; all by default.
            backend: The backend that runs the models, a key of `BACKENDS`. With None, ONNX Runtime computes each Q/DQ
                pair as written, without fusing it. This agrees with TensorRT up to rounding, even for a model whose
                other layers are in half precision.
        """
        self._manifest, self._dataset, self._backend = manifest, dataset, backend
        self._indices = None if indices is None else list(indices)

    def __call__(self, model: onnx.ModelProto) -> float:
        """Return the PQ in percent, or 0 if no image has a segment.

        Raises:
            InputError: If an image cannot be read.
            BackendError: If the backend cannot run the model.
        """
        with temporary_folder() as folder:
            artifact = Artifact(folder / "model.onnx", self._manifest)
            onnx.save(model, artifact.model)
            backend = backends.create(self._backend, artifact) if self._backend else _UnfusedOnnxRuntime(artifact)
            with Segmenter(backend, self._manifest.thresholds) as segmenter:
                quality = evaluate(segmenter, self._dataset, self._indices, semantic=False).quality
        return quality["all"]["pq"] or 0.0


class _UnfusedOnnxRuntime(OnnxRuntime):
    """ONNX Runtime that computes Q/DQ pairs as they are written."""

    def _load(self, artifact: Artifact) -> None:
        self._session = session(onnx.load(artifact.model))


class Agreement:
    """Scores a model, without labels, by the percentage of pixels to which it gives the same class as a reference."""

    def __init__(self, reference: onnx.ModelProto, images: Images) -> None:
        """Run ``reference``, usually the model in single precision, on ``images``. Raises InputError."""
        self._images = images
        self._expected = list(_class_maps(reference, images))

    def __call__(self, model: onnx.ModelProto) -> float:
        """Return the mean over the images of the percentage of pixels with the same class. Raises InputError."""
        found = _class_maps(model, self._images)
        return 100 * float(np.mean([np.mean(a == b) for a, b in zip(found, self._expected, strict=True)]))


def _class_maps(model: onnx.ModelProto, images: Images) -> Iterable[NDArray[np.uint8]]:
    """Yield, for each image, the class of each pixel of the masks, uint8 (H/4, W/4)."""
    for logits, masks in run(model, ["logits", "masks"], images):
        size = masks.shape[2], masks.shape[3]
        padded = STRIDE * size[0], STRIDE * size[1]
        classes = postprocess.semantic(logits[0], masks[0], padded_size=padded, image_size=padded, output_size=size)
        yield classes.astype(np.uint8)
