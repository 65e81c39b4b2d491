"""One pass over a dataset counts what is there, collects what is wrong, and finds what is there twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.checks.check import conclude
from pem_edge.runtime.datasets.checks.schema import ClassCount, DatasetFindings, Findings
from pem_edge.runtime.datasets.checks.survey import Survey
from pem_edge.runtime.datasets.dataset import Sample, TrueSegment
from pem_edge.runtime.datasets.opening import open_dataset
from tests.runtime.helpers import coco_folder

RED, ROAD = Label(0, "red", True, (255, 0, 0)), Label(1, "road", False, (90, 90, 90))


@dataclass
class Listed:
    """A dataset of samples that are at hand."""

    samples: Sequence[Sample]
    labels: Sequence[Label] = (RED, ROAD)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def sample(seed: int, *areas: int, crowd: bool = False, name: str = "") -> Sample:
    """Make a noisy picture, 40x60, of road, and red things of these areas, a row each; ids are 7, 17, ..."""
    panoptic = np.full((40, 60), 3, np.int32)
    segments = [TrueSegment(3, 1)]
    for row, area in enumerate(areas):
        panoptic[row, :area] = 10 * row + 7
        segments.append(TrueSegment(10 * row + 7, 0, crowd))
    image = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), np.uint8)
    return Sample(name or f"{seed}.png", image, panoptic, segments)


def found(*samples: Sample, labels: Sequence[Label] = (RED, ROAD)) -> DatasetFindings:
    return Survey(Listed(samples, labels)).findings()


def concluded(train: Sequence[Sample], val: Sequence[Sample], val_labels: Sequence[Label] = (RED, ROAD)) -> Findings:
    return conclude(Survey(Listed(train)), Survey(Listed(val, val_labels)))


def test_classes_void_crowds_and_tiny_things_are_counted() -> None:
    void = sample(3)
    void.panoptic[:20] = 0
    counted = found(sample(1, 15, 16, 50), sample(2, 40, crowd=True), void)
    pixels = 3 * 40 * 60
    assert (counted.images, counted.readable, counted.crowds, counted.tiny) == (3, 3, 1, 1)
    assert counted.void == pytest.approx(100 * 1200 / pixels, abs=1e-4)
    red = round(100 * (15 + 16 + 50 + 40) / pixels, 4)
    assert counted.classes[0] == ClassCount(name="red", isthing=True, images=2, segments=4, share=red, median_area=16)
    assert (counted.classes[1].images, counted.classes[1].median_area) == (3, None)
    assert (counted.faults, counted.doubles) == ([], [])


def test_the_median_size_counts_every_image() -> None:
    def cut(seed: int, height: int) -> Sample:
        whole = sample(seed)
        return replace(whole, image=whole.image[:height], panoptic=whole.panoptic[:height])

    sizes = found(cut(1, 40), cut(2, 20), cut(3, 30), cut(4, 30)).sizes
    assert sizes is not None
    assert (sizes.smallest, sizes.median, sizes.largest, sizes.distinct) == ((20, 60), (30, 60), (40, 60), 3)


def test_what_is_broken_does_not_end_the_check(tmp_path: Path) -> None:
    folder = coco_folder.write(tmp_path, 4)
    (folder / "images" / "0.png").write_bytes(b"no picture")
    cut = (folder / "panoptic" / "1.png").read_bytes()[:60]
    (folder / "panoptic" / "1.png").write_bytes(cut)
    coco_folder.save(folder / "panoptic" / "2.png", np.zeros((10, 10, 3), np.uint8))
    counted = Survey(open_dataset(str(folder))).findings()
    assert (counted.images, counted.readable) == (4, 1)
    assert [(fault.kind, fault.index) for fault in counted.faults] == [("broken", index) for index in range(3)]
    for fault, place in zip(counted.faults, ("images/0", "panoptic/1", "panoptic/2"), strict=True):
        assert fault.message.startswith(f"{folder}/{place}.png ")


@pytest.mark.parametrize(
    ("panoptic", "segments", "message"),
    [
        (np.zeros((30, 60), np.int32), [], "1.png is 40x60 and its map 30x60, expected the same size"),
        (np.full((40, 60), 9, np.int32), [TrueSegment(3, 1)], "1.png has the id 9 in its map, which no segment has"),
        (np.full((40, 60), 3, np.int32), [TrueSegment(3, 2)], "1.png has a segment of class 2, expected 0 to 1"),
    ],
)
def test_a_sample_that_contradicts_itself_is_broken(
    panoptic: np.ndarray[tuple[int, int], np.dtype[np.int32]], segments: list[TrueSegment], message: str
) -> None:
    (fault,) = found(replace(sample(1), panoptic=panoptic, segments=segments)).faults
    assert fault.kind == "broken"
    assert fault.message.startswith(message)


def test_faults_of_samples_that_can_be_read() -> None:
    empty, partly = sample(1), sample(2, 0, 0, 20)
    empty.panoptic[:] = 0
    large = Sample("l.png", np.zeros((4001, 4000, 3), np.uint8), np.ones((4001, 4000), np.int32), [TrueSegment(1, 1)])
    faults = found(empty, partly, replace(sample(3), segments=[], panoptic=empty.panoptic), large).faults
    assert [(fault.kind, fault.index) for fault in faults] == [
        ("unlabeled", 0), ("no pixels", 1), ("unlabeled", 2), ("large", 3),
    ]  # fmt: skip
    assert faults[1].message.startswith("2.png lists 2 ids, such as 7, of which its map has no pixel: ")


def test_the_same_picture_is_told_from_the_same_with_other_labels() -> None:
    first, again, relabeled = sample(1, 20), sample(1, 20, name="again.png"), sample(1, 30, name="relabeled.png")
    renumbered = replace(again, name="renumbered.png", panoptic=again.panoptic + 100, segments=[
        replace(segment, id=segment.id + 100) for segment in again.segments
    ])  # fmt: skip
    doubles = found(first, sample(2), again, relabeled, renumbered).doubles
    assert [(double.kind, double.image, double.like) for double in doubles] == [
        ("same", "again.png", "1.png"),
        ("labels differ", "relabeled.png", "1.png"),
        ("same", "renumbered.png", "1.png"),
    ]


def test_nearly_the_same_pictures_are_named_with_the_nearest() -> None:
    first = sample(1)
    spoiled = first.image.copy()
    spoiled[0, 0] ^= 1
    (double,) = found(first, sample(2), replace(first, name="near.png", image=spoiled)).doubles
    assert (double.kind, double.image, double.like, double.bits) == ("similar", "near.png", "1.png", 0)


def test_plain_pictures_are_not_taken_for_each_other() -> None:
    plain = [replace(sample(level), image=np.full((40, 60, 3), level, np.uint8)) for level in (0, 90, 200)]
    assert found(*plain).doubles == []


def test_validation_must_not_be_in_training() -> None:
    train = [sample(seed, 20) for seed in range(4)]
    leaked = replace(train[2], name="leaked.png")
    told = concluded(train, [leaked, sample(9, 20)])
    assert [(double.image, double.like) for double in told.shared] == [("leaked.png", "2.png")]
    (warning,) = told.warnings
    assert warning.startswith("1 of 2 images for validation are in the training set, 1 as they are and 0 nearly, such")
    (warning,) = concluded(train, train[1:]).warnings
    assert warning.startswith("every image of the validation set is in the training set")
    assert concluded(train, [sample(9, 20)]).warnings == []


def test_classes_that_cannot_be_learned_are_told() -> None:
    car = Label(1, "car", True, (0, 0, 90))
    told = concluded([sample(1), sample(2)], [sample(3, 20), sample(4)], (RED, car))
    texts = (
        "only one class occurs, 'road'",
        "1 class occurs nowhere, 'red': ",
        "the classes differ by name: only the validation set has 'car'; only the training set has 'road': ",
        "the validation set has 2 classes of which training sees nothing, 'red', 'car': ",
    )
    assert len(told.warnings) == len(texts)
    for warning, text in zip(told.warnings, texts, strict=True):
        assert warning.startswith(text)


def test_without_things_training_is_semantic() -> None:
    stuff = (Label(0, "red", False, (255, 0, 0)), ROAD)
    (warning,) = conclude(Survey(Listed([sample(1, 20)], stuff))).warnings
    assert warning.startswith("no class is a thing")


def test_things_on_one_side_that_are_stuff_on_the_other_are_told() -> None:
    turned = (Label(0, "red", False, (255, 0, 0)), ROAD)
    (warning,) = concluded([sample(1, 20)], [sample(2, 20)], turned).warnings
    assert warning == "things in one set are stuff in the other, 'red': correct their isthing"
