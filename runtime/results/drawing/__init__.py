"""Draw a panoptic result over its image: colors, outlines of things, names, and a legend below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.arguments import number_in
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.results.drawing import captions, colors, regions, text
from pem_edge.runtime.results.drawing import legend as legends
from pem_edge.runtime.results.drawing.legend import Entry, Legend
from pem_edge.runtime.results.drawing.names import shown
from pem_edge.runtime.results.segments import Segment

_SMALLEST_WITH_TEXT = 96
"""Shorter side in pixels below which names would hide the picture, and a legend would dwarf it."""


def draw(
    image: NDArray[np.uint8],
    panoptic: NDArray[np.int32],
    segments: Sequence[Segment],
    labels: Sequence[Label],
    *,
    opacity: float = 0.5,
    names: bool = True,
    scores: bool = True,
    legend: bool = True,
    steady: bool = False,
    numbers: Mapping[int, int] | None = None,
) -> NDArray[np.uint8]:
    """Return ``image`` under its segments, RGB uint8 (H, W, 3), or (H + legend, W, 3) with a legend.

    Stuff has the color of its class; every thing has a shade of it, an outline, its name and its score. Larger regions
    of stuff are named, too. Names and legend are left out where the shorter side is below 96 pixels.

    Args:
        image: RGB uint8 (H, W, 3).
        panoptic: The segments' ids, (H, W); other ids show the bare image.
        segments: The segments to draw.
        labels: The classes.
        opacity: How much the colors cover the image, 0 to 1.
        names: Whether to write the names of segments.
        scores: Whether to write the scores of things behind their names.
        legend: Whether to list the classes below the picture, the largest first.
        steady: Whether the legend has the same height for all images of a size, as the frames of a video need it.
        numbers: The number of each thing within its class, by its id, from which its shade follows; None to count them.

    Raises:
        ValueError: If the shapes do not match; as an ArgumentError, if the opacity is not between 0 and 1.
    """
    if image.dtype != np.uint8 or image.shape != (*panoptic.shape, 3):
        raise ValueError(
            f"image is {image.dtype} {image.shape} and panoptic {panoptic.shape}, expected uint8 (H, W, 3) and (H, W)"
        )
    opacity = number_in("opacity", opacity, 0, 1, such_as=0.5)
    has_room = min(panoptic.shape) >= _SMALLEST_WITH_TEXT
    found = _lay_out(segments, labels, image.shape, steady) if legend and has_room else None
    canvas = np.empty((len(image) + (found.height if found else 0), *image.shape[1:]), np.uint8)
    picture = canvas[: len(image)]
    palette = colors.of_segments(segments, labels, numbers)
    regions.fill(picture, image, panoptic, palette, opacity)
    for segment in segments:
        if segment.isthing:
            regions.outline(picture, panoptic, segment, colors.mix(palette[segment.id], colors.LIGHT, 0.6))
    if names and has_room:
        words = [shown(labels[segment.category_id].name, segment.category_id) for segment in segments]
        captions.write(picture, panoptic, segments, words, palette, scores=scores)
    if found:
        found.write(canvas[len(image) :])
    return canvas


def entries(segments: Sequence[Segment], labels: Sequence[Label]) -> list[Entry]:
    """Return an entry for the legend for each class of ``segments``, the largest segment's first."""
    by_area = sorted(segments, key=lambda segment: -segment.area)
    palette = colors.of_classes(labels)
    found = dict.fromkeys(segment.category_id for segment in by_area)
    return [Entry(shown(labels[index].name, index), palette[index]) for index in found]


def _lay_out(segments: Sequence[Segment], labels: Sequence[Label], shape: tuple[int, ...], steady: bool) -> Legend:
    size = text.size_for(shape)
    if not steady:
        return legends.lay_out(entries(segments, labels), shape, size)
    present = {segment.category_id for segment in segments}
    palette = colors.of_classes(labels)
    everything = [
        Entry(shown(label.name, index), palette[index], index in present) for index, label in enumerate(labels)
    ]
    return legends.lay_out_steady(everything, shape, size)
