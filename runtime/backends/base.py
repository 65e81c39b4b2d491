"""What every backend is: a model held ready, and one call that checks what goes in and what comes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from runtime.artifact import Artifact
from runtime.backends import device_arrays
from runtime.backends.device_arrays import Images
from runtime.backends.settings import Settings
from runtime.errors import BackendError
from runtime.geometry import STRIDE
from runtime.pipeline import HostPipeline, Pipeline

Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]
Shape = tuple[int, ...]


class Backend(ABC):
    """An artifact loaded by an engine. Calls from several threads at once are safe; each gets arrays of its own.

    Raises BackendError if the engine cannot load the model or the model is not as its manifest says.
    """

    name: ClassVar[str]

    def __init__(self, artifact: Artifact, settings: Settings | None = None) -> None:
        self.artifact = artifact
        self._asked = settings or Settings()
        try:
            self._load(artifact)
        except BackendError:
            raise
        except Exception as error:
            raise self._failed("load", error) from error
        self._check_names()
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
            raise self._failed("run", error) from error
        return self._checked(outputs, shape)

    def pipeline(self, things: Collection[int]) -> Pipeline:
        """The stages from an image to its panoptic map, ``things`` being the classes whose instances count apart."""
        return HostPipeline(self, things)

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
    def _load(self, artifact: Artifact) -> None: ...

    @abstractmethod
    def _run(self, images: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]: ...

    def _run_on_host(self, images: Images) -> tuple[tuple[NDArray[Any], NDArray[Any]], Shape]:
        batch = np.ascontiguousarray(images)
        self._require_images(batch.shape, batch.dtype)
        return self._run(batch), batch.shape

    def _run_on_gpu(self, images: Images) -> tuple[tuple[NDArray[Any], NDArray[Any]], Shape]:  # noqa: ARG002
        """The outputs, and the shape of the images."""
        raise BackendError(f"{self.name} takes images in host memory, these are on a GPU: copy them to the host first")

    @abstractmethod
    def _unload(self) -> None: ...

    def _settings(self) -> dict[str, str | int | bool]:
        return {}

    @abstractmethod
    def _names(self) -> set[str]:
        """Names of the model's inputs and outputs."""

    def _require_open(self) -> None:
        if self._closed:
            raise BackendError(f"the backend of {self.artifact.model} is closed: load the model again")

    def _require_images(self, shape: Shape, dtype: np.dtype[Any]) -> None:
        if len(shape) != 4 or shape[3] != 3 or dtype != np.uint8:
            raise BackendError(f"images are {dtype} of shape {shape}, expected uint8 (N, H, W, 3): convert them")

    def _check_names(self) -> None:
        manifest = self.artifact.manifest
        expected = {manifest.input.name, *manifest.outputs}
        if (found := self._names()) != expected:
            raise BackendError(
                f"{self.artifact.model} has inputs and outputs {sorted(found)}, its manifest says {sorted(expected)}: "
                "export it again"
            )

    def _shapes(self, images: Shape) -> tuple[Shape, Shape]:
        """What the manifest says of the shapes of logits and masks for ``images`` of this shape."""
        manifest = self.artifact.manifest
        batch, height, width = images[:3]
        classes = (batch, manifest.queries, len(manifest.classes) + 1)
        return classes, (batch, manifest.queries, height // STRIDE, width // STRIDE)

    def _checked(self, outputs: tuple[NDArray[Any], NDArray[Any]], images: Shape) -> Outputs:
        self._require_shapes((outputs[0].shape, outputs[1].shape), images)
        return outputs[0].astype(np.float32, copy=False), outputs[1].astype(np.float32, copy=False)

    def _require_shapes(self, found: tuple[Shape, Shape], images: Shape) -> None:
        if found != (expected := self._shapes(images)):
            raise BackendError(
                f"{self.artifact.model} returned logits and masks of shapes {found[0]} and {found[1]}, "
                f"its manifest says {expected[0]} and {expected[1]}: export it again"
            )

    def _failed(self, action: str, error: Exception) -> BackendError:
        reason = " ".join(str(error).split())[:300]
        return BackendError(f"{self.name} cannot {action} {self.artifact.model} ({reason}): export it again")
