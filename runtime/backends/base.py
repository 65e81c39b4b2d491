"""The base class of backends: a loaded model, and one call that checks what goes in and what comes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.backends.contract import Contract, Shape
from pem_edge.runtime.backends.cuda import device_arrays
from pem_edge.runtime.backends.cuda.device_arrays import Images
from pem_edge.runtime.backends.settings import Settings
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.inference.backend import BareModel, Device, Nodes
from pem_edge.runtime.inference.host_pipeline import HostPipeline
from pem_edge.runtime.inference.pipeline import AnyPipeline

Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]
RawOutputs = tuple[NDArray[np.generic], NDArray[np.generic]]


class Backend(ABC):
    """Holds an artifact that an inference library has loaded. Threads may call it at once; each gets its own arrays.

    A new backend implements `_load`, `_run` and `_unload`, and has a row in `backends.BACKENDS`. What it can do
    beyond that, it says by overriding `device`, `profile`, `open_bare`, `pipeline` and `_settings`.

    Raises:
        BackendError: If the library cannot load the model, or the model differs from its manifest.
    """

    name: ClassVar[str]

    def __init__(self, artifact: Artifact, settings: Settings | None = None) -> None:
        self.artifact = artifact
        self._contract = Contract(artifact, self.name)
        self._asked = settings or Settings()
        try:
            self._load(artifact)
        except BackendError:
            raise
        except Exception as error:
            raise self._contract.failure("load", error) from error
        self._closed = False

    def __call__(self, images: Images) -> Outputs:
        """Run a batch, uint8 (N, H, W, 3) RGB: class logits (N, Q, K+1) and mask logits (N, Q, H/4, W/4), float32.

        Some backends also take arrays on the GPU, see `device_arrays`; the results are in host memory.

        Raises BackendError if the engine fails or the outputs are not of the manifest's shapes.
        """
        self._require_open()
        try:
            run = self._run_on_gpu if device_arrays.on_gpu(images) else self._run_on_host
            outputs, shape = run(images)
        except BackendError:
            raise
        except Exception as error:
            raise self._contract.failure("run", error) from error
        return self._checked(outputs, shape)

    @property
    def device(self) -> Device:
        """Where the model runs: "cpu" unless a backend says otherwise."""
        return "cpu"

    def pipeline(self) -> AnyPipeline:
        """Return the stages from an image to its panoptic map."""
        return HostPipeline(self)

    def profile(self, images: NDArray[np.uint8], runs: int) -> Nodes:  # noqa: ARG002
        """Return the milliseconds of each node of the model; see `inference.backend.Backend.profile`."""
        raise BackendError(f"{self.name} does not report the time of each layer: leave the profile out")

    def open_bare(self, model: bytes) -> BareModel:  # noqa: ARG002
        """Return an ONNX model, ready to run; see `inference.backend.Backend.open_bare`."""
        raise BackendError(f"{self.name} runs no models but exported ones: leave the rates out")

    def settings(self) -> dict[str, str | int | bool]:
        """Return the settings in force, by name, for reports. Raises BackendError if the backend is closed."""
        self._require_open()
        return self._settings()

    def close(self) -> None:
        """Free the engine; later calls raise BackendError. May be called more than once."""
        if not self._closed:
            self._closed = True
            self._unload()

    @abstractmethod
    def _load(self, artifact: Artifact) -> None:
        """Load the model, and check the names of its inputs and outputs."""

    @abstractmethod
    def _run(self, images: NDArray[np.uint8]) -> RawOutputs: ...

    def _run_on_host(self, images: Images) -> tuple[RawOutputs, Shape]:
        batch = np.ascontiguousarray(images)
        self._contract.require_images(batch.shape, batch.dtype)
        return self._run(batch), batch.shape

    def _run_on_gpu(self, images: Images) -> tuple[RawOutputs, Shape]:  # noqa: ARG002
        """Return the outputs and the shape of the images."""
        raise BackendError(f"{self.name} takes images in host memory, these are on a GPU: copy them to the host first")

    @abstractmethod
    def _unload(self) -> None: ...

    def _settings(self) -> dict[str, str | int | bool]:
        return {}

    def _require_open(self) -> None:
        if self._closed:
            raise self._contract.closed()

    def _checked(self, outputs: RawOutputs, images: Shape) -> Outputs:
        self._contract.require_outputs((outputs[0].shape, outputs[1].shape), images)
        return outputs[0].astype(np.float32, copy=False), outputs[1].astype(np.float32, copy=False)
