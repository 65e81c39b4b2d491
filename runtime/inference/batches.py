"""How many images a model takes at once, and which of many go into one batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.manifest import InputSpec
from pem_edge.runtime.inference.pipeline import Prepared

P = TypeVar("P", bound=Prepared)


def smallest(spec: InputSpec) -> int:
    """Return the fewest images that a model takes at once."""
    return spec.dynamic_batch.least if spec.dynamic_batch else spec.batch


def largest(spec: InputSpec) -> int:
    """Return the most images that a model takes at once."""
    return spec.dynamic_batch.most if spec.dynamic_batch else spec.batch


def stacked(images: Sequence[NDArray[np.uint8]], spec: InputSpec) -> NDArray[np.uint8]:
    """Return fitted images, uint8 (H, W, 3), as a batch that the model takes, the last one repeated where it must be.

    A batch of one image is not copied.
    """
    if len(images) == 1:
        return np.broadcast_to(images[0], (smallest(spec), *images[0].shape))
    return np.stack([*images, *[images[-1]] * (smallest(spec) - len(images))])


def grouped(prepared: Iterable[P], most: int) -> Iterator[list[tuple[int, P]]]:
    """Yield batches of at most ``most`` images of one padded size, each image with its index in ``prepared``.

    A batch is yielded as soon as it is full, so that no more images are held than the batches under way need.
    """
    waiting: dict[tuple[int, int], list[tuple[int, P]]] = {}
    for index, image in enumerate(prepared):
        batch = waiting.setdefault(image.geometry.padded_size, [])
        batch.append((index, image))
        if len(batch) == most:
            yield waiting.pop(image.geometry.padded_size)
    yield from waiting.values()
