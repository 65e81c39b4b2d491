"""Batches: the batch sizes of a model, and the grouping of images into batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.manifest import InputSpec
from pem_edge.runtime.inference.backend import Device
from pem_edge.runtime.inference.pipeline import Prepared

PreparedT = TypeVar("PreparedT", bound=Prepared)


def smallest(spec: InputSpec) -> int:
    """Return the minimum batch size of a model."""
    return spec.dynamic_batch.least if spec.dynamic_batch else spec.batch


def largest(spec: InputSpec) -> int:
    """Return the maximum batch size of a model."""
    return spec.dynamic_batch.most if spec.dynamic_batch else spec.batch


def fastest(spec: InputSpec, device: Device) -> int:
    """Return the batch size at which a model segments the most images a second.

    A GPU needs many images to be busy. One is enough for a CPU, whose caches hold less of what several need.
    """
    return largest(spec) if device == "gpu" else smallest(spec)


def stack(images: Sequence[NDArray[np.uint8]], spec: InputSpec) -> NDArray[np.uint8]:
    """Stack images into a batch, repeating the last image if the model's minimum batch size requires it.

    Args:
        images: At least one image fitted to the model's input, all uint8 (H, W, 3) of one size.
        spec: The input section of the artifact's manifest.

    Returns:
        The batch, uint8 (N, H, W, 3). If there is only one image, this is a read-only view that copies nothing.
    """
    if len(images) == 1:
        return np.broadcast_to(images[0], (smallest(spec), *images[0].shape))
    return np.stack([*images, *[images[-1]] * (smallest(spec) - len(images))])


def group(prepared: Iterable[PreparedT], maximum: int) -> Iterator[list[tuple[int, PreparedT]]]:
    """Group images of equal padded size into batches of up to ``maximum`` images.

    Each batch is yielded as soon as it is full, which keeps the number of images in memory small. The incomplete
    batches come last.

    Yields:
        A batch: each image with its index in ``prepared``.
    """
    waiting: dict[tuple[int, int], list[tuple[int, PreparedT]]] = {}
    for index, image in enumerate(prepared):
        batch = waiting.setdefault(image.geometry.padded_size, [])
        batch.append((index, image))
        if len(batch) == maximum:
            yield waiting.pop(image.geometry.padded_size)
    yield from waiting.values()
