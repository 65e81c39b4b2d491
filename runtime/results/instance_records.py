"""Instances as COCO's results (https://cocodataset.org/#format-results), which pycocotools' ``loadRes`` reads."""

from __future__ import annotations

from collections.abc import Sequence

from pem_edge.runtime.artifacts.labels import Label, official_ids
from pem_edge.runtime.results import run_lengths
from pem_edge.runtime.results.segments import Instance
from pem_edge.runtime.versioned_json import JsonObject


def of(instances: Sequence[Instance], image_id: int | str, file_name: str, labels: Sequence[Label]) -> list[JsonObject]:
    """Return a record of each instance. COCO's have neither "file_name" nor "label", but readers ignore them.

    Args:
        instances: The instances.
        image_id: The id of their image.
        file_name: The file of their image.
        labels: The classes. If they are COCO's, the records have COCO's own ids of them, else their indices.
    """
    ids = official_ids(labels)
    return [
        {
            "image_id": image_id,
            "file_name": file_name,
            "category_id": ids[instance.category_id],
            "label": instance.label,
            "score": instance.score,
            "bbox": list(instance.bbox),
            "segmentation": run_lengths.encode(instance.mask),
        }
        for instance in instances
    ]
