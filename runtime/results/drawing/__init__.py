"""Draw a panoptic result over its image: colours, outlines of things, names, and a legend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.results.drawing import captions, colors, regions
from pem_edge.runtime.results.segments import Segment

_SMALLEST_WITH_TEXT = 96
"""Shorter side in pixels below which text would hide the picture."""


def draw(
    image: NDArray[np.uint8],
    panoptic: NDArray[np.int32],
    segments: Sequence[Segment],
    labels: Sequence[Label],
    *,
    opacity: float = 0.5,
) -> NDArray[np.uint8]:
    """``image`` (RGB uint8, (H, W, 3)) under its segments, of the same shape and dtype.

    Stuff takes its class's colour, every thing a shade of it, an outline, its name and its score; larger stuff regions
    are named too, and a legend lists the classes. ``panoptic`` (H, W) holds the segments' ids, other ids show the bare
    image. Text is left out where the shorter side is below 96 pixels. Raises ValueError if the shapes do not match.
    """
    if image.dtype != np.uint8 or image.shape != (*panoptic.shape, 3):
        raise ValueError(
            f"image is {image.dtype} {image.shape} and panoptic {panoptic.shape}, expected uint8 (H, W, 3) and (H, W)"
        )
    palette = colors.of_segments(segments, labels)
    canvas = regions.fill(image, panoptic, palette, opacity)
    for segment in segments:
        if segment.isthing:
            regions.outline(canvas, panoptic, segment, colors.lighter(palette[segment.id], 0.6))
    if min(panoptic.shape) < _SMALLEST_WITH_TEXT:
        return canvas
    return captions.write(canvas, panoptic, segments, labels, palette)
