"""For each task a dataset has the segments and classes that a model is to learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.dataset import Dataset, Sample, TrueSegment
from pem_edge.runtime.datasets.opening import open_dataset
from pem_edge.runtime.datasets.tasks import for_model, for_task
from pem_edge.runtime.errors import InputError
from tests.helpers.boxes import Boxes
from tests.runtime.helpers import coco_folder

WHITE, RED, BLUE = 0, 1, 3
"""Classes of the striped pictures: stuff, a thing, and stuff as a crowd."""


@pytest.fixture
def striped(tmp_path: Path) -> Dataset:
    return open_dataset(str(coco_folder.write(tmp_path)))


def found(sample: Sample) -> dict[int, tuple[int, bool]]:
    return {segment.id: (segment.category_id, segment.iscrowd) for segment in sample.segments}


def test_panoptic_is_the_dataset_as_it_is(striped: Dataset) -> None:
    assert for_task(striped, "panoptic") is striped


def test_semantic_has_a_segment_for_each_class_and_no_crowds(striped: Dataset) -> None:
    semantic, before = for_task(striped, "semantic"), striped[0]
    after = semantic[0]
    assert found(after) == {1 + WHITE: (WHITE, False), 1 + RED: (RED, False), 1 + BLUE: (BLUE, False)}
    for old, new in ((70000, 1 + RED), (300, 1 + WHITE), (5, 1 + BLUE), (0, 0)):
        assert np.array_equal(before.panoptic == old, after.panoptic == new)
    assert [label.name for label in semantic.labels] == [label.name for label in striped.labels]
    assert not any(label.isthing for label in semantic.labels)
    assert np.array_equal(after.image, before.image)
    assert (after.name, after.panoptic.dtype.name, len(semantic)) == (before.name, "int32", 2)


def test_semantic_joins_the_instances_of_a_class() -> None:
    boxes = Boxes(30)
    both = next(i for i in range(30) if [s.category_id for s in boxes[i].segments] == [0, 1, 1])
    joined = for_task(boxes, "semantic")[both]
    assert found(joined) == {1: (0, False), 2: (1, False)}
    assert np.array_equal(joined.panoptic == 2, boxes[both].panoptic >= 2)


def test_instance_has_things_alone_numbered_anew(striped: Dataset) -> None:
    instance, before = for_task(striped, "instance"), striped[0]
    after = instance[0]
    assert [(label.id, label.name, label.isthing) for label in instance.labels] == [
        (0, "red", True),
        (1, "green", True),
    ]
    assert found(after) == {70000: (0, False)}
    assert np.array_equal(after.panoptic, np.where(before.panoptic == 70000, 70000, 0))
    assert (after.panoptic.dtype.name, len(instance)) == ("int32", 2)


def test_instance_keeps_crowds() -> None:
    class Crowd(Boxes):
        def __getitem__(self, index: int) -> Sample:
            return Sample(
                "crowd", np.zeros((2, 2, 3), np.uint8), np.full((2, 2), 9, np.int32), [TrueSegment(9, 2, True)]
            )

    assert found(for_task(Crowd(), "instance")[0]) == {9: (1, True)}


def test_instances_without_things_are_refused() -> None:
    flat = Boxes(labels=[Label(0, "ground", False, (0, 0, 0))])
    with pytest.raises(InputError) as caught:
        for_task(flat, "instance", "fields/train")
    assert str(caught.value) == ("--task instance needs things, and fields/train has none: train with --task semantic")


def test_a_model_of_instances_is_scored_on_things_alone(striped: Dataset) -> None:
    things = for_task(striped, "instance")
    seen = for_model(striped, things.labels, "instance")
    assert [label.name for label in seen.labels] == [label.name for label in things.labels]
    assert found(seen[0]) == found(things[0])
    assert np.array_equal(seen[0].panoptic, things[0].panoptic)
    with pytest.raises(InputError, match="classes of the dataset are not"):
        for_model(striped, things.labels, "panoptic")
