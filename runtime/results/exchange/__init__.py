"""Results in the forms that other programs take: JSON, COCO's records, supervision's detections, notebooks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pem_edge.runtime.artifacts.manifest import Task, choose_task
from pem_edge.runtime.outside.printable import storable
from pem_edge.runtime.results import coco_format, instance_records
from pem_edge.runtime.results.exchange import detections, notebook, records, summary
from pem_edge.runtime.results.exchange.found import Found
from pem_edge.runtime.sources.names import usable
from pem_edge.runtime.versioned_json import JsonObject

if TYPE_CHECKING:
    import supervision


class Exchange:
    """The part of a result that hands it on to other programs."""

    def to_json(self: Found, task: Task | None = None, *, masks: bool = False) -> str:
        """Return what was found as one JSON object: plain numbers, without images and maps.

        It has "name", "height", "width", "task", "time" and "milliseconds"; and "segments" with their ids in
        `panoptic`, for the task "semantic" "classes", for "instance" "instances", which are `confident_instances`.

        Example:
            >>> import json
            >>> import pem_edge
            >>> result = pem_edge.load("demo")("demo:street")
            >>> document = json.loads(result.to_json())
            >>> document["height"], document["task"], sorted(document["segments"][0])
            (512, 'panoptic', ['area', 'bbox', 'category_id', 'id', 'isthing', 'label', 'score'])

        Args:
            task: What to list, see `regions`; None for the result's task.
            masks: Whether each of them has its mask as "segmentation", in COCO's run-length encoding.

        Raises:
            InputError: If there is no such task.
        """
        return records.to_json(self, choose_task(task, self.task), masks=masks)

    def to_coco(self: Found, image_id: int | str, task: Task | None = None) -> list[JsonObject]:
        """Return records in COCO's formats, of which those of several images make one list.

        Category ids are COCO's own if the classes are COCO's, else the classes' indices. Segments have the ids that
        they have in the PNG, see `saved_segments`.

        For the task "panoptic", it is the image's annotation for panopticapi, whose PNG is what `encode_map` returns,
        under the name that `save` gives it. For "instance", it is a result for pycocotools' ``loadRes`` for each of
        `confident_instances`; load the model with ``score_threshold=0`` to have them all. For "semantic", it is a
        result of COCO's stuff task for each class.

        Example:
            >>> import pem_edge
            >>> result = pem_edge.load("demo")("demo:street")
            >>> [annotation] = result.to_coco(image_id=7)
            >>> annotation["image_id"], annotation["file_name"]
            (7, 'street_panoptic.png')

        Args:
            image_id: The image's id in the data set.
            task: What to list, see `regions`; None for the result's task.

        Raises:
            InputError: If there is no such task.
        """
        task = choose_task(task, self.task)
        path = Path(self.name)
        if task == "panoptic":
            png = f"{usable(path.stem) or 'image'}_panoptic.png"
            return [coco_format.annotation(image_id, png, self.saved_segments, self.labels)]
        if task == "semantic":
            return records.to_coco_stuff(self, image_id)
        return instance_records.of(self.confident_instances, image_id, storable(path.name), self.labels)

    def to_supervision(self: Found, task: Task | None = None, *, stuff: bool = False) -> supervision.Detections:
        """Return what was found as ``supervision.Detections``: xyxy, mask, confidence, class_id, data["class_name"].

        Args:
            task: What to list, see `regions`; None for the result's task.
            stuff: Whether segments of stuff are among those of a panoptic result. Semantic ones have all classes.

        Raises:
            InputError: If there is no such task.
            OutputError: If supervision is not installed.
        """
        return detections.to_supervision(self, choose_task(task, self.task), stuff=stuff)

    def __repr__(self: Found) -> str:
        """Return the name, size and task, the largest classes with their shares of the image, and the time."""
        return summary.summarize(self)

    def _repr_png_(self: Found) -> bytes:
        """Return what notebooks show: the drawing, scaled down to at most 1024 columns."""
        return notebook.preview(self.draw())
