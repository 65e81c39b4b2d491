"""What a segmenter returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from runtime.labels import Label
    from runtime.postprocess import Geometry


@dataclass(frozen=True)
class Segment:
    """One region of a panoptic map.

    ``id`` is its value in the map (1 and up), ``score`` the class probability (0 to 1), ``area`` in pixels,
    ``bbox`` (x, y, width, height) in pixels as COCO has it.
    """

    id: int
    category_id: int
    label: str
    isthing: bool
    score: float
    area: int
    bbox: tuple[int, int, int, int]


@dataclass(frozen=True)
class Instance:
    """One scored object mask: ``mask`` is bool (H, W), ``score`` 0 to 1; instances may overlap."""

    category_id: int
    label: str
    score: float
    mask: NDArray[np.bool_]


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """What a segmenter made of one image, at the image's size.

    ``image`` is RGB uint8 (H, W, 3), ``name`` its path, or its number in a video, where known; ``panoptic`` int32
    (H, W), 0 is void; ``milliseconds`` has the keys "preprocess", "inference" and "postprocess", and "decode" for an
    image that came from a file; ``labels`` are the model's classes in order. ``outputs`` gives the model's outputs for
    this image, class logits (Q, K+1) and mask logits (Q, h, w), and ``geometry`` their sizes: `semantic` and
    `instances` are computed from them when first asked for.
    """

    image: NDArray[np.uint8]
    panoptic: NDArray[np.int32]
    segments: Sequence[Segment]
    milliseconds: Mapping[str, float]
    labels: Sequence[Label]
    outputs: Callable[[], tuple[NDArray[np.floating], NDArray[np.floating]]]
    geometry: Geometry
    name: str = ""

    @cached_property
    def semantic(self) -> NDArray[np.int32]:
        """The class of every pixel, int32 (H, W)."""
        from runtime import postprocess  # which builds on this module

        return postprocess.semantic(*self.outputs(), **vars(self.geometry))

    @cached_property
    def instances(self) -> list[Instance]:
        """Scored object masks, best first; they may overlap."""
        from runtime import labels, postprocess

        things = labels.things(self.labels)
        return named(postprocess.instances(*self.outputs(), things=things, **vars(self.geometry)), self.labels)

    def draw(self) -> NDArray[np.uint8]:
        """The image with its segments, their names and a legend, RGB uint8 (H, W, 3)."""
        from runtime import drawing

        return drawing.draw(self.image, self.panoptic, self.segments, self.labels)


Named = TypeVar("Named", Segment, Instance)


def named(items: Sequence[Named], labels: Sequence[Label]) -> list[Named]:
    """The segments or instances, each with ``label`` set to the name of its class."""
    return [replace(item, label=labels[item.category_id].name) for item in items]
