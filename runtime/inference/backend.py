"""Protocols of loaded models: what the rest of the runtime asks of a backend, whichever library is behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.inference.pipeline import AnyPipeline, Outputs

Device = Literal["cpu", "gpu"]

Nodes = Mapping[tuple[str, str], float]
"""Milliseconds of each node in a run, by the node's name and type, after the library's own graph rewriting."""

BareModel = Callable[[dict[str, NDArray[np.generic]]], object]
"""Runs a model once on inputs by name, and returns when it is done."""


class Model(Protocol):
    """A loaded model, as far as a pipeline on the host needs it."""

    @property
    def artifact(self) -> Artifact:
        """The artifact that was loaded."""

    def __call__(self, images: NDArray[np.uint8], /) -> Outputs:
        """Run a batch, uint8 (N, H, W, 3) RGB.

        Returns:
            Class logits (N, Q, K+1) and mask logits (N, Q, H/4, W/4).

        Raises:
            BackendError: If the model cannot be run.
        """


class Backend(Model, Protocol):
    """A loaded model with all that a segmenter and a benchmark ask of it."""

    @property
    def name(self) -> str:
        """The backend's name, such as "onnxruntime"."""

    @property
    def device(self) -> Device:
        """Where the model runs, which decides whose memory and rates a benchmark looks at."""

    def pipeline(self) -> AnyPipeline:
        """Return the stages from an image to its panoptic map."""

    def settings(self) -> dict[str, str | int | bool]:
        """Return the settings in force, by name, for reports."""

    def profile(self, images: NDArray[np.uint8], runs: int) -> Nodes:
        """Load the model anew, as timing costs time, and time its nodes.

        Args:
            images: A batch, uint8 (N, H, W, 3), that every run is given.
            runs: How many runs to take the mean of; one more comes before them and is left out.

        Returns:
            The mean milliseconds of each node in a run.

        Raises:
            BackendError: If the library reports no such times.
        """

    def open_bare(self, model: bytes) -> BareModel:
        """Load a serialized ONNX model that has no manifest, with the settings of this backend.

        Raises:
            BackendError: If the library loads no such models.
        """

    def close(self) -> None:
        """Free the model; later calls raise BackendError."""
