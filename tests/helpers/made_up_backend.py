"""A backend as a third party might add it, which computes the tiny model with NumPy and offers all optional methods."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.backends import Row
from pem_edge.runtime.backends.base import Backend, RawOutputs
from pem_edge.runtime.inference.backend import BareModel
from pem_edge.runtime.inference.profiled_nodes import Nodes, ProfiledNode
from tests.runtime.helpers import tiny_model

BARE_SECONDS = 0.02

ROW = Row(
    implementation="tests.helpers.made_up_backend:MadeUp",
    needs="numpy",
    extra="made-up",
    target="onnx",
    deform_convs=frozenset({"standard"}),
)


class MadeUp(Backend):
    """Computes the model of `tiny_model.tiny_model`, and sleeps `BARE_SECONDS` for any other model."""

    name = "made-up"

    def profile(self, images: NDArray[np.uint8], runs: int) -> Nodes:
        """See `inference.backend.SegmenterBackend.profile`."""
        times: dict[tuple[str, str], float] = defaultdict(float)

        def clock(name: str, kind: str, node: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
            start = time.perf_counter()
            result = node()
            times[name, kind] += 1000 * (time.perf_counter() - start) / runs
            return result

        for _ in range(runs):
            grid = clock("grid", "Mean", lambda: _grid(images))
            clock("masks", "Product", lambda grid=grid: _masks(grid))  # type: ignore[misc]
        return [ProfiledNode(*key, milliseconds) for key, milliseconds in times.items()]

    def open_bare(self, model: bytes) -> BareModel:
        """See `inference.backend.SegmenterBackend.open_bare`."""
        assert b"Conv" in model or b"MatMul" in model
        return lambda _inputs: time.sleep(BARE_SECONDS)

    def _load(self, artifact: Artifact) -> None:
        self._contract.require_names({artifact.manifest.input.name, "logits", "masks"})

    def _run(self, images: NDArray[np.uint8]) -> RawOutputs:
        logits = np.zeros((len(images), tiny_model.QUERIES, len(tiny_model.CLASSES) + 1), np.float32)
        logits[:, range(tiny_model.QUERIES), tiny_model.QUERY_CLASSES] = 10
        return logits, _masks(_grid(images))

    def _unload(self) -> None:
        """Do nothing, because there is nothing to free."""


def _grid(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    count, height, width, _ = images.shape
    grid = images.reshape(count, height // 4, 4, width // 4, 4, 3).mean(axis=(2, 4), dtype=np.float32)
    return np.asarray(grid / 255, np.float32)


def _masks(grid: NDArray[np.float32]) -> NDArray[np.float32]:
    weights, biases = np.array(tiny_model.MASK_WEIGHTS), np.array(tiny_model.MASK_BIASES)
    return np.asarray(40 * (np.einsum("nhwc,qc->nqhw", grid, weights) + biases[:, None, None]), np.float32)
