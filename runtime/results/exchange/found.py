"""The protocol of results that these forms need, and the masks of what a result found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import Task
from pem_edge.runtime.results.regions import Regions
from pem_edge.runtime.results.segments import Instance, Segment

Mask = NDArray[np.bool_]


class Found(Protocol):
    """A result; see `Result` for its attributes."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def task(self) -> Task: ...  # noqa: D102
    @property
    def time(self) -> float | None: ...  # noqa: D102
    @property
    def milliseconds(self) -> Mapping[str, float]: ...  # noqa: D102
    @property
    def panoptic(self) -> NDArray[np.int32]: ...  # noqa: D102
    @property
    def segments(self) -> Sequence[Segment]: ...  # noqa: D102
    @property
    def saved_segments(self) -> list[Segment]: ...  # noqa: D102
    @property
    def labels(self) -> Sequence[Label]: ...  # noqa: D102
    @property
    def confident_instances(self) -> list[Instance]: ...  # noqa: D102
    def regions(self, task: Task | None = None) -> Regions: ...  # noqa: D102
    def draw(self) -> NDArray[np.uint8]: ...  # noqa: D102


def masked(found: Found, task: Task) -> Iterator[tuple[Segment | Instance, Callable[[], Mask]]]:
    """Yield what a result shows for a task, each with a function that returns its mask, bool (H, W).

    These are segments, a region for each class, or the confident instances, whose masks may overlap.
    """
    if task == "instance":
        for instance in found.confident_instances:
            yield instance, partial(np.asarray, instance.mask)
        return
    regions = found.regions(task)
    for segment in regions.segments:
        yield segment, partial(np.equal, regions.ids, segment.id)
