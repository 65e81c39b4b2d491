"""Views of a dataset for tasks other than panoptic segmentation, as Mask2Former's authors train them.

A model learns each task by the same recipe. What differs is what a segment is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import Task
from pem_edge.runtime.datasets import id_runs
from pem_edge.runtime.datasets.dataset import Dataset, DerivedDataset, Sample, TrueSegment
from pem_edge.runtime.datasets.relabeling import Relabeled
from pem_edge.runtime.errors import InputError

_VOID = 0


def for_task(dataset: Dataset, task: Task, name: str = "the dataset") -> Dataset:
    """Return ``dataset`` with the segments and classes that a model is trained for.

    Args:
        dataset: A dataset for panoptic segmentation.
        task: "panoptic" for the dataset as it is; "semantic" for one segment of each class in an image, all of them
            stuff; "instance" for its things alone, where everything else is void.
        name: The name of the dataset, for messages.

    Raises:
        InputError: If instances are to be learned from a dataset without things.
    """
    if task == "semantic":
        return SemanticDataset(dataset)
    if task == "instance":
        if not any(label.isthing for label in dataset.labels):
            raise InputError(f"--task instance needs things, and {name} has none: train with --task semantic")
        return InstanceDataset(dataset)
    return dataset


def for_model(dataset: Dataset, classes: Sequence[Label], task: Task) -> Dataset:
    """Return ``dataset`` with the classes of a model, in its order, as it has them for its task.

    Semantic maps make no difference of things and stuff, and instances have no stuff.

    Raises:
        InputError: If the classes differ; the message lists the differences.
    """
    if task == "instance" and len(dataset.labels) != len(classes) and any(label.isthing for label in dataset.labels):
        dataset = InstanceDataset(dataset)
    return Relabeled(dataset, classes, kinds=task != "semantic")


class SemanticDataset(DerivedDataset):
    """A dataset with one segment of each class in an image, which crowds belong to; all classes are stuff."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset)
        self.labels: Sequence[Label] = [msgspec.structs.replace(label, isthing=False) for label in dataset.labels]

    def __getitem__(self, index: int) -> Sample:
        sample = self._dataset[index]
        ids = {segment.id: segment.category_id + 1 for segment in sample.segments}
        segments = [TrueSegment(class_id, class_id - 1) for class_id in sorted(set(ids.values()))]
        return _replace_segments(sample, segments, ids)


class InstanceDataset(DerivedDataset):
    """The things of a dataset, whose classes are numbered anew. Crowds stay crowds, and stuff becomes void."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset)
        things = [label for label in dataset.labels if label.isthing]
        self._classes = {label.id: index for index, label in enumerate(things)}
        self.labels: Sequence[Label] = [msgspec.structs.replace(each, id=index) for index, each in enumerate(things)]

    def __getitem__(self, index: int) -> Sample:
        sample, classes = self._dataset[index], self._classes
        things = [segment for segment in sample.segments if segment.category_id in classes]
        segments = [replace(segment, category_id=classes[segment.category_id]) for segment in things]
        return _replace_segments(sample, segments, {segment.id: segment.id for segment in segments})


def _replace_segments(sample: Sample, segments: Sequence[TrueSegment], ids: Mapping[int, int]) -> Sample:
    """Return ``sample`` with other segments, given the new id of each old one; those without become void."""
    present, positions = id_runs.unique(sample.panoptic)
    table = np.array([ids.get(segment_id, _VOID) for segment_id in present.tolist()], np.int32)
    return replace(sample, panoptic=table[positions], segments=segments)
