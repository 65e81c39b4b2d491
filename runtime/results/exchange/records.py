"""Results as JSON, and semantic ones as COCO's records."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pem_edge.runtime.artifacts.labels import official_ids
from pem_edge.runtime.artifacts.manifest import Task
from pem_edge.runtime.outside.printable import storable
from pem_edge.runtime.results import run_lengths
from pem_edge.runtime.results.exchange.found import Found, masked
from pem_edge.runtime.results.segments import Instance, Segment
from pem_edge.runtime.versioned_json import JsonObject

LISTS: Mapping[Task, tuple[str, tuple[str, ...]]] = {
    "panoptic": ("segments", ("id", "category_id", "label", "isthing", "score", "area", "bbox")),
    "semantic": ("classes", ("category_id", "label", "area", "bbox")),
    "instance": ("instances", ("category_id", "label", "score", "area", "bbox")),
}
"""The name of the list of what was found, and what is said of each, by task."""


def describe(region: Segment | Instance, task: Task) -> JsonObject:
    """Return what is said of a segment, a class or an instance in JSON."""
    return {name: getattr(region, name) for name in LISTS[task][1]}


def to_json(found: Found, task: Task, *, masks: bool) -> str:
    """Return a result as one JSON object, see `Result.to_json`."""
    key, _ = LISTS[task]
    records: list[JsonObject] = []
    for region, mask in masked(found, task):
        records.append(describe(region, task))
        if masks:
            records[-1]["segmentation"] = run_lengths.encode(mask())
    height, width = found.panoptic.shape
    document = {
        "name": storable(found.name),
        "height": height,
        "width": width,
        "task": task,
        "time": found.time,
        "milliseconds": dict(found.milliseconds),
        key: records,
    }
    return msgspec.json.encode(document).decode()


def to_coco_stuff(found: Found, image_id: int | str) -> list[JsonObject]:
    """Return a record of COCO's results for stuff for each class in the semantic map."""
    ids = official_ids(found.labels)
    return [
        {
            "image_id": image_id,
            "category_id": ids[region.category_id],
            "label": region.label,
            "segmentation": run_lengths.encode(mask()),
        }
        for region, mask in masked(found, "semantic")
    ]
