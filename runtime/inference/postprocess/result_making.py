"""Results of what a pipeline merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import Task, Thresholds
from pem_edge.runtime.inference import postprocess
from pem_edge.runtime.inference.pipeline import Merged
from pem_edge.runtime.results.drawing.continuity import Continuity
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.results.segments import Instance, add_labels


@dataclass(frozen=True)
class ResultMaker:
    """Makes the results of a model.

    Attributes:
        classes: The model's classes.
        trained_for: What the model was trained for.
    """

    classes: Sequence[Label]
    trained_for: Task

    def make(
        self,
        merged: Merged,
        image: NDArray[np.uint8],
        task: Task,
        thresholds: Thresholds,
        *,
        name: str = "",
        milliseconds: Mapping[str, float] = MappingProxyType({}),
        time: float | None = None,
        continuity: Continuity | None = None,
    ) -> Result:
        """Return the result of ``image``; the other arguments are as in `Result`."""
        return Result(
            name=name,
            image=image,
            panoptic=merged.panoptic,
            segments=add_labels(merged.segments, self.classes),
            milliseconds={**milliseconds, **merged.milliseconds},
            labels=self.classes,
            geometry=merged.geometry,
            task=task,
            score_threshold=thresholds.score,
            outputs=merged.outputs,
            compute_semantic=postprocess.classify_pixels,
            compute_instances=partial(_find_instances, self._with_instances()),
            time=time,
            continuity=continuity,
        )

    def _with_instances(self) -> frozenset[int]:
        """Return the classes that have instances: all of a model trained for instances, whatever they are called.

        As in Mask2Former's code, stuff is left out of what a model for panoptic segmentation finds.
        """
        if self.trained_for == "instance":
            return frozenset(range(len(self.classes)))
        return frozenset(labels.things(self.classes))


def _find_instances(
    things: frozenset[int],
    logits: NDArray[np.floating],
    masks: NDArray[np.floating],
    geometry: Geometry,
    classes: Sequence[Label],
    score_threshold: float,
) -> list[Instance]:
    found = postprocess.find_instances(logits, masks, geometry, things, score_threshold=score_threshold)
    return add_labels(found, classes)
