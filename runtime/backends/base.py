"""What every backend is: a model held ready, and one call that checks what goes in and what comes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.backends.contract import Contract, Shape
from pem_edge.runtime.backends.cuda import device_arrays
from pem_edge.runtime.backends.cuda.device_arrays import Images
from pem_edge.runtime.backends.settings import Settings
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.inference.pipeline import HostPipeline, Pipeline

Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]


class Backend(ABC):
    """An artifact loaded by an engine. Calls from several threads at once are safe; each gets arrays of its own.

    Raises BackendError if the engine cannot load the model or the model is not as its manifest says.
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

    def pipeline(self) -> Pipeline:
        """Return the stages from an image to its panoptic map."""
        return HostPipeline(self)

    def settings(self) -> dict[str, str | int | bool]:
        """The settings that are in force, by name, for reports. Raises BackendError if the backend is closed."""
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
    def _run(self, images: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]: ...

    def _run_on_host(self, images: Images) -> tuple[tuple[NDArray[Any], NDArray[Any]], Shape]:
        batch = np.ascontiguousarray(images)
        self._contract.require_images(batch.shape, batch.dtype)
        return self._run(batch), batch.shape

    def _run_on_gpu(self, images: Images) -> tuple[tuple[NDArray[Any], NDArray[Any]], Shape]:  # noqa: ARG002
        """The outputs, and the shape of the images."""
        raise BackendError(f"{self.name} takes images in host memory, these are on a GPU: copy them to the host first")

    @abstractmethod
    def _unload(self) -> None: ...

    def _settings(self) -> dict[str, str | int | bool]:
        return {}

    def _require_open(self) -> None:
        if self._closed:
            raise self._contract.closed()

    def _checked(self, outputs: tuple[NDArray[Any], NDArray[Any]], images: Shape) -> Outputs:
        self._contract.require_outputs((outputs[0].shape, outputs[1].shape), images)
        return outputs[0].astype(np.float32, copy=False), outputs[1].astype(np.float32, copy=False)
