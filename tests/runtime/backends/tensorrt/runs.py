"""Images for engines of the tiny model, their expected outputs, and runs in several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.manifest import InputSpec, Range
from reference.cuda_simulation.machine import Error

FAULTY = Error.cudaErrorIllegalAddress
DYNAMIC = InputSpec(
    height=64,
    width=96,
    dynamic_batch=Range(1, 1, 4),
    dynamic_height=Range(32, 64, 128),
    dynamic_width=Range(32, 96, 128),
)


def noise(seed: int, height: int = 64, width: int = 96, batch: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (batch, height, width, 3), dtype=np.uint8)


def expected_masks(images: NDArray[np.uint8]) -> NDArray[Any]:
    """Return the first query's mask logits: 40 (r - g - b - 0.5) on the average of each 4x4 pixels."""
    batch, height, width, _ = images.shape
    means = images.reshape(batch, height // 4, 4, width // 4, 4, 3).mean(axis=(2, 4)) / 255
    return np.asarray(40 * (means[..., 0] - means[..., 1] - means[..., 2] - 0.5))


def assert_right(masks: NDArray[Any], images: NDArray[np.uint8], atol: float = 0.05) -> None:
    np.testing.assert_allclose(masks[:, 0], expected_masks(images), atol=atol)


def run_in_threads(*jobs: Callable[[], None]) -> list[Exception]:
    """Run jobs at the same time, and return the exceptions that they raise."""
    errors: list[Exception] = []

    def run(job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors
