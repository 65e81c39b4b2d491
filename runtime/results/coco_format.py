"""COCO's panoptic format (https://cocodataset.org/#format-data): segment ids as PNG colors, and a JSON document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import msgspec
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.labels import Label, official_ids
from pem_edge.runtime.results.drawing import colors
from pem_edge.runtime.results.drawing.palette import Color
from pem_edge.runtime.results.segments import Segment
from pem_edge.runtime.versioned_json import JsonObject

MAX_ID = (1 << 24) - 1
"""Largest id that the three bytes of a color can hold."""


def encode(panoptic: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return segment ids (H, W), 0 to 2^24 - 1, as RGB uint8 (H, W, 3) with id = R + 256 G + 65536 B.

    Raises:
        ValueError: If an id is out of range.
    """
    if panoptic.size and not 0 <= panoptic.min() <= panoptic.max() <= MAX_ID:
        raise ValueError(f"ids run from {panoptic.min()} to {panoptic.max()}, expected 0 to {MAX_ID}")
    return panoptic.astype("<u4")[..., None].view(np.uint8)[..., :3].copy()


def decode(pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return the segment ids, int32 (H, W), of a map that `encode` made.

    Raises:
        ValueError: If ``pixels`` is not uint8 (H, W, 3).
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"the map is {pixels.dtype} {pixels.shape}, expected RGB uint8 (H, W, 3)")
    padded = np.zeros((*pixels.shape[:2], 4), np.uint8)
    padded[..., :3] = pixels
    return padded.view("<i4")[..., 0].astype(np.int32, copy=False)


def with_color_ids(segments: Sequence[Segment], labels: Sequence[Label]) -> list[Segment]:
    """Return the segments of an image with the ids that they have in files: the codes of the colors they are drawn in.

    Colors that several segments have, or that are black, which is void, are replaced by near ones. The ids depend on
    nothing but the segments and the labels.

    Args:
        segments: The segments.
        labels: The classes.
    """
    palette, taken, found = colors.of_segments(segments, labels), {0}, []
    near = {color: _codes_near(color) for color in set(palette.values())}  # each goes on where it was left
    for segment in segments:
        code = next(code for code in near[palette[segment.id]] if code not in taken)
        taken.add(code)
        found.append(replace(segment, id=code))
    return found


def renumber(panoptic: NDArray[np.int32], old: Sequence[Segment], new: Sequence[Segment]) -> NDArray[np.int32]:
    """Return a map, int32 (H, W), with the ids of ``new`` in place of those of ``old``; other ids become 0."""
    table = np.zeros(max([int(panoptic.max(initial=0)), *(segment.id for segment in old)]) + 1, np.int32)
    for before, after in zip(old, new, strict=True):
        table[before.id] = after.id
    return table[panoptic]


def image(image_id: str | int, file_name: str, size: tuple[int, int]) -> JsonObject:
    """Return a record of the document's ``images``. ``size`` is (height, width) in pixels."""
    height, width = size
    return {"id": image_id, "file_name": file_name, "height": height, "width": width}


def annotation(
    image_id: str | int, file_name: str, segments: Sequence[Segment], labels: Sequence[Label] | None = None
) -> JsonObject:
    """Return a record of the document's ``annotations``.

    Args:
        image_id: The id of the image in ``images``.
        file_name: The file of its panoptic map, encoded with `encode`.
        segments: The segments of the map.
        labels: The classes, whose ids in ``categories`` the segments get; None if these are the classes' indices.
    """
    ids = None if labels is None else official_ids(labels)
    infos = [
        {
            "id": segment.id,
            "category_id": segment.category_id if ids is None else ids[segment.category_id],
            "area": segment.area,
            "bbox": list(segment.bbox),
            "iscrowd": 0,
            "score": segment.score,
        }
        for segment in segments
    ]
    return {"image_id": image_id, "file_name": file_name, "segments_info": infos}


def document(
    annotations: Sequence[JsonObject | msgspec.Raw], images: Sequence[JsonObject | msgspec.Raw], labels: Sequence[Label]
) -> JsonObject:
    """Return the JSON document of several images from their records, which may be encoded already."""
    return {"images": list(images), "annotations": list(annotations), "categories": categories(labels)}


def categories(labels: Sequence[Label]) -> list[JsonObject]:
    """Return the document's ``categories``, which `pem_edge.runtime.artifacts.labels.load` reads as the same labels.

    Their ids are COCO's own if the classes are COCO's, else the classes' indices.
    """
    return [
        {"id": category_id, "name": label.name, "isthing": int(label.isthing), "color": list(label.color)}
        for category_id, label in zip(official_ids(labels), labels, strict=True)
    ]


def _codes_near(color: Color) -> Iterator[int]:
    """Yield the code of ``color``, then those of colors further and further from it, at last of all colors."""
    for step in range(256):
        for signs in product((0, 1, -1), repeat=3):
            red, green, blue = (
                min(max(channel + sign * step, 0), 255) for channel, sign in zip(color, signs, strict=True)
            )
            yield red + 256 * green + 65536 * blue
    yield from range(MAX_ID + 1)
