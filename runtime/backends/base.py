"""What every backend is: a model held ready, and one call that checks what goes in and what comes out."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from runtime.artifact import Artifact
from runtime.errors import BackendError
from runtime.postprocess.geometry import STRIDE

Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]


class Backend(ABC):
    """An artifact loaded by an engine. Calls from several threads at once are safe; each gets arrays of its own.

    Raises BackendError if the engine cannot load the model or the model is not as its manifest says.
    """

    name: ClassVar[str]

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        try:
            self._load(artifact)
        except BackendError:
            raise
        except Exception as error:
            raise self._failed("load", error) from error
        self._check_names()
        self._closed = False

    def __call__(self, images: NDArray[np.uint8]) -> Outputs:
        """Run a batch, uint8 (N, H, W, 3) RGB: class logits (N, Q, K+1) and mask logits (N, Q, H/4, W/4), float32.

        Raises BackendError if the engine fails or the outputs are not of the manifest's shapes.
        """
        if self._closed:
            raise BackendError(f"the backend of {self.artifact.model} is closed: load the model again")
        try:
            outputs = self._run(np.ascontiguousarray(images))
        except Exception as error:
            raise self._failed("run", error) from error
        return self._checked(outputs, images.shape)

    def close(self) -> None:
        """Free the engine; later calls raise BackendError. May be called more than once."""
        if not self._closed:
            self._closed = True
            self._unload()

    @abstractmethod
    def _load(self, artifact: Artifact) -> None: ...

    @abstractmethod
    def _run(self, images: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]: ...

    @abstractmethod
    def _unload(self) -> None: ...

    @abstractmethod
    def _names(self) -> set[str]:
        """Names of the model's inputs and outputs."""

    def _check_names(self) -> None:
        manifest = self.artifact.manifest
        expected = {manifest.input.name, *manifest.outputs}
        if (found := self._names()) != expected:
            raise BackendError(
                f"{self.artifact.model} has inputs and outputs {sorted(found)}, its manifest says {sorted(expected)}: "
                "export it again"
            )

    def _checked(self, outputs: tuple[NDArray[Any], NDArray[Any]], images: tuple[int, ...]) -> Outputs:
        manifest = self.artifact.manifest
        batch, height, width = images[:3]
        classes = (batch, manifest.queries, len(manifest.classes) + 1)
        grid = (batch, manifest.queries, height // STRIDE, width // STRIDE)
        if (found := (outputs[0].shape, outputs[1].shape)) != (classes, grid):
            raise BackendError(
                f"{self.artifact.model} returned logits and masks of shapes {found[0]} and {found[1]}, "
                f"its manifest says {classes} and {grid}: export it again"
            )
        return outputs[0].astype(np.float32, copy=False), outputs[1].astype(np.float32, copy=False)

    def _failed(self, action: str, error: Exception) -> BackendError:
        reason = " ".join(str(error).split())[:300]
        return BackendError(f"{self.name} cannot {action} {self.artifact.model} ({reason}): export it again")


def usable_cpus() -> int:
    """CPUs this process may run on, which a container or ``taskset`` may limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
