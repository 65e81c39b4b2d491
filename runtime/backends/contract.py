"""Checks a loaded model against its manifest: tensor names, input images and outputs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.geometry import STRIDE
from pem_edge.runtime.errors import BackendError, PemError

Shape = tuple[int, ...]

_OUT_OF_MEMORY = re.compile(
    r"bad_alloc|(not enough|out of|insufficient) memory|allocate (.* )?memory|alloc.* fail", re.I
)
"""Finds, in the messages of the libraries, that memory ran out."""

_MORE_MEMORY = "there is not enough memory; close other programs, or export it with a smaller --size or --batch"


class Contract:
    """Enforces what an artifact's manifest promises.

    Args:
        artifact: The model and its manifest.
        backend: The name of the backend that runs the model, for messages.

    Attributes:
        forked: Whether this process was forked from the one that loaded the model, and cannot use it.
    """

    def __init__(self, artifact: Artifact, backend: str) -> None:
        self._model, self._manifest, self._backend = artifact.model, artifact.manifest, backend
        self.forked = False

    def require_names(self, found: set[str]) -> None:
        """Raise BackendError unless the model's inputs and outputs have the manifest's names."""
        expected = {self._manifest.input.name, *self._manifest.outputs}
        if found != expected:
            raise BackendError(
                f"{self._model} has inputs and outputs {sorted(found)}, its manifest says {sorted(expected)}: "
                "export it again"
            )

    def require_images(self, shape: Shape, dtype: np.dtype[np.generic]) -> None:
        """Raise BackendError unless images are uint8 (N, H, W, 3)."""
        if len(shape) != 4 or shape[3] != 3 or dtype != np.uint8:
            raise BackendError(f"images are {dtype} of shape {shape}, expected uint8 (N, H, W, 3): convert them")

    def output_shapes(self, images: Shape) -> tuple[Shape, Shape]:
        """Return the shapes of class logits and mask logits for images of the shape ``images``, (N, H, W, 3)."""
        batch, height, width = images[:3]
        classes = batch, self._manifest.queries, len(self._manifest.classes) + 1
        return classes, (batch, self._manifest.queries, height // STRIDE, width // STRIDE)

    def require_outputs(self, found: tuple[Shape, Shape], images: Shape) -> None:
        """Raise BackendError unless the shapes ``found`` are those of the outputs for the shape ``images``."""
        if found != (expected := self.output_shapes(images)):
            raise BackendError(
                f"{self._model} returned logits and masks of shapes {found[0]} and {found[1]}, "
                f"its manifest says {expected[0]} and {expected[1]}: export it again"
            )

    @contextmanager
    def wrap_errors(self, action: str) -> Iterator[None]:
        """Turn every foreign exception of the block into a BackendError of one line.

        Args:
            action: What the block does with the model: "load" or "run".
        """
        try:
            yield
        except PemError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            cure = _MORE_MEMORY if _lacks_memory(error) else "export it again"
            raise BackendError(f"{self._backend} cannot {action} {self._model} ({reason}): {cure}") from error

    def closed(self) -> BackendError:
        """Return the error for a backend that is used after it was closed, or in a process that cannot use it."""
        if self.forked:
            return BackendError(
                f"{self._model} is on a GPU, which forked processes cannot use: start them with "
                "multiprocessing.get_context('spawn')"
            )
        return BackendError(f"the backend of {self._model} is closed: load the model again")


def _lacks_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)) is not None
