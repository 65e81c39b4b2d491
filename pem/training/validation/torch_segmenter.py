"""A model in memory that segments images as the runtime does with the artifact that is exported from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pem_edge.pem.model import MaskClassifier
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import InputSpec, Task, Thresholds
from pem_edge.runtime.inference.host_pipeline import HostPipeline
from pem_edge.runtime.inference.pipeline import ModelOutputs
from pem_edge.runtime.inference.postprocess.result_making import ResultMaker
from pem_edge.runtime.results.result import Result


class TorchSegmenter:
    """Segments images with a model in memory, by the runtime's own preprocessing and postprocessing.

    The model computes where its weights are, in their precision, in evaluation mode, and is in its own mode afterwards.

    Args:
        model: The model.
        classes: Its classes, in the order of its logits.
        size: Height and width in pixels that images are fitted to, multiples of ``model.multiple_of``.
        task: What results show.
        thresholds: The thresholds of segments and instances; None for those of exported models.
    """

    def __init__(
        self,
        model: MaskClassifier,
        classes: Sequence[Label],
        size: tuple[int, int],
        task: Task = "panoptic",
        thresholds: Thresholds | None = None,
    ) -> None:
        self._model, self._task = model, task
        self._device = next(model.parameters()).device
        self._thresholds = thresholds or Thresholds.usual(task)
        spec = InputSpec(*size, pad_value=model.pad_value, multiple_of=model.multiple_of)
        self._pipeline = HostPipeline(self._run, spec, classes, model.variant)
        self._results = ResultMaker(classes, task)

    def __call__(self, image: NDArray[np.uint8]) -> Result:
        """Return the result of an image, RGB uint8 (H, W, 3). Raises BackendError if the outputs cannot be merged."""
        inferred = self._pipeline.infer([self._pipeline.prepare(image)], self._thresholds)
        (merged,) = self._pipeline.merge(inferred)
        return self._results.make(merged, image, self._task, self._thresholds)

    @torch.no_grad()
    def _run(self, images: NDArray[np.uint8]) -> ModelOutputs:
        with evaluating(self._model), torch.autocast(self._device.type, enabled=False):
            logits, masks = self._model(torch.tensor(images, device=self._device))
        return logits.float().cpu().numpy(), masks.float().cpu().numpy()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put ``model`` into evaluation mode within the ``with`` block, and each of its modules back into its own after."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
