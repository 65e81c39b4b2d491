"""Protocols of loaded models: what the rest of the runtime needs from a backend, whichever library it uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.inference.paired_pipeline import PairedPipeline
from pem_edge.runtime.inference.pipeline import AnyPipeline, ModelOutputs
from pem_edge.runtime.inference.profiled_nodes import Nodes

Device = Literal["cpu", "gpu"]
"""Kind of processor that runs a model."""

BareModel = Callable[[dict[str, NDArray[np.generic]]], object]
"""Function that runs a model once, on arrays by input name, and returns when the run has finished."""


class Model(Protocol):
    """The part of a loaded model that a `HostPipeline` needs."""

    @property
    def artifact(self) -> Artifact:
        """The artifact that was loaded."""

    def __call__(self, images: NDArray[np.uint8], /) -> ModelOutputs:
        """Run the model on a batch.

        Args:
            images: RGB uint8 (N, H, W, 3), of a size that the artifact accepts.

        Returns:
            Class logits (N, Q, K+1) and mask logits (N, Q, H/4, W/4).

        Raises:
            BackendError: If the model cannot be run.
        """


class SegmenterBackend(Model, Protocol):
    """A loaded model with everything that segmenters and benchmarks need."""

    @property
    def name(self) -> str:
        """Name of the backend, such as "onnxruntime"."""

    @property
    def device(self) -> Device:
        """Device that runs the model. Benchmarks measure the memory and the rates of this device."""

    def pipeline(self) -> AnyPipeline:
        """Return the pipeline that turns images into panoptic maps with this model."""

    def stream_pipeline(self) -> PairedPipeline | None:
        """Return the pipeline for a stream of many images, of which only the rate counts; None for that of `pipeline`.

        It is only faster: if it cannot be made, that is logged, and None is returned.

        Raises:
            BackendError: If the backend is closed.
        """

    def settings(self) -> dict[str, str | int | bool]:
        """Return the settings in effect, by name, for reports."""

    def profile(self, images: NDArray[np.uint8], runs: int) -> Nodes:
        """Time the nodes of the model.

        The model is loaded again for this, because timing nodes slows down every run of a loaded model; in ONNX Runtime
        twice.

        Args:
            images: The input of every run, RGB uint8 (N, H, W, 3).
            runs: The number of runs to take the medians of. One warm-up run precedes them.

        Returns:
            The nodes with their median times per run and, as far as the library tells, the tensors that they read and
            write.

        Raises:
            BackendError: If the library does not report the times of nodes.
        """

    def open_bare(self, model: bytes) -> BareModel:
        """Load a model without a manifest, with the settings of this backend.

        Args:
            model: A serialized ONNX model.

        Raises:
            BackendError: If the backend cannot load ONNX models.
        """

    def close(self) -> None:
        """Free the model. Later calls raise BackendError."""
