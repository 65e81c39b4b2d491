"""Results as detections of the library supervision (https://supervision.roboflow.com)."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, cast

import numpy as np

from pem_edge.runtime.artifacts.manifest import Task
from pem_edge.runtime.errors import OutputError
from pem_edge.runtime.results.exchange.found import Found, masked

if TYPE_CHECKING:
    import supervision


def to_supervision(found: Found, task: Task, *, stuff: bool) -> supervision.Detections:
    """Return what a result shows as detections, see `Result.to_supervision`."""
    module = _import()
    chosen = [
        (region, mask())
        for region, mask in masked(found, task)
        if task != "panoptic" or stuff or getattr(region, "isthing", True)
    ]
    boxes = np.array([region.bbox for region, _ in chosen], np.float32).reshape(-1, 4)
    detections = module.Detections(
        xyxy=np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]),
        mask=np.array([mask for _, mask in chosen], np.bool_).reshape(-1, *found.panoptic.shape),
        confidence=None if task == "semantic" else np.array([region.score for region, _ in chosen], np.float32),
        class_id=np.array([region.category_id for region, _ in chosen], np.int64),
        data={"class_name": np.array([region.label for region, _ in chosen], np.str_)},
    )
    return cast("supervision.Detections", detections)


def _import() -> ModuleType:
    try:
        return import_module("supervision")
    except ImportError as error:
        reason = "" if isinstance(error, ModuleNotFoundError) and error.name == "supervision" else f" ({error})"
        raise OutputError(
            f"supervision cannot be imported{reason}, expected for its detections: pip install supervision"
        ) from error
