"""Draw a panoptic result over its image: colors, outlines of things, names, and a legend."""

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
    """Return ``image`` under its segments, RGB uint8 (H, W, 3).

    Stuff has the color of its class; every thing has a shade of it, an outline, its name and its score. Larger regions
    of stuff are named, too, and a legend lists the classes. Text is left out where the shorter side is below 96 pixels.

    Args:
        image: RGB uint8 (H, W, 3).
        panoptic: The segments' ids, (H, W); other ids show the bare image.
        segments: The segments to draw.
        labels: The classes.
        opacity: How much the colors cover the image, 0 to 1.

    Raises:
        ValueError: If the shapes do not match.
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
