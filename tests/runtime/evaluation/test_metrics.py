"""Panoptic quality is that of COCO's panoptic API, and both metrics gather over images in any order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pem_edge.runtime.datasets.dataset import TrueSegment
from pem_edge.runtime.evaluation.metrics import MeanIoU, PanopticQuality
from pem_edge.runtime.evaluation.metrics.panoptic_quality import PanopticScores

Map = NDArray[np.int32]
CLASSES, THINGS = 4, {0, 1}


@dataclass(frozen=True)
class Predicted:
    id: int
    category_id: int


@dataclass(frozen=True)
class Case:
    """One image."""

    pred: Map
    pred_segments: Sequence[Predicted]
    true: Map
    true_segments: Sequence[TrueSegment]


def case(
    pred: Sequence[Sequence[int]],
    pred_classes: Mapping[int, int],
    true: Sequence[Sequence[int]],
    true_classes: Mapping[int, int],
    crowds: Sequence[int] = (),
) -> Case:
    """Return maps, and the class of each id in them."""
    return Case(
        np.array(pred, np.int32),
        [Predicted(*item) for item in pred_classes.items()],
        np.array(true, np.int32),
        [TrueSegment(i, c, i in crowds) for i, c in true_classes.items()],
    )


# The definition, pixel by pixel -------------------------------------------------------------------------------------


Pixels = set[tuple[int, int]]


def pixels(panoptic: Map, segment_id: int) -> Pixels:
    height, width = panoptic.shape
    return {(y, x) for y in range(height) for x in range(width) if panoptic[y, x] == segment_id}


def matches(image: Case) -> dict[tuple[int, int], float]:
    """Return the IoU of each pair of segments (true id, predicted id) that match."""
    void = pixels(image.true, 0)
    found = {}
    for true in image.true_segments:
        for pred in image.pred_segments:
            if true.iscrowd or true.category_id != pred.category_id:
                continue
            of_true, of_pred = pixels(image.true, true.id), pixels(image.pred, pred.id)
            union = (of_true | of_pred) - void
            if union and len(of_true & of_pred) / len(union) > 0.5:
                found[true.id, pred.id] = len(of_true & of_pred) / len(union)
    return found


def count(image: Case) -> dict[int, dict[str, float]]:
    """Count true positives, false positives, false negatives and the IoUs of each class in one image."""
    counts = {c: {"tp": 0.0, "fp": 0.0, "fn": 0.0, "iou": 0.0} for c in range(CLASSES)}
    matched = matches(image)
    excused = {c: pixels(image.true, 0) for c in range(CLASSES)}
    for true in image.true_segments:
        ious = [iou for (true_id, _), iou in matched.items() if true_id == true.id]
        if true.iscrowd:
            excused[true.category_id] = pixels(image.true, 0) | pixels(image.true, true.id)
        else:
            counts[true.category_id]["tp" if ious else "fn"] += 1
        counts[true.category_id]["iou"] += sum(ious)
    for pred in image.pred_segments:
        of_pred = pixels(image.pred, pred.id)
        share = len(of_pred & excused[pred.category_id]) / len(of_pred)
        if pred.id not in {pred_id for _, pred_id in matched} and share <= 0.5:
            counts[pred.category_id]["fp"] += 1
    return counts


def expected(images: Iterable[Case]) -> dict[str, Any]:
    total = {c: {"tp": 0.0, "fp": 0.0, "fn": 0.0, "iou": 0.0} for c in range(CLASSES)}
    for image in images:
        for c, counts in count(image).items():
            for key, value in counts.items():
                total[c][key] += value
    per_class: list[tuple[float, float, float] | None] = []
    for counts in total.values():
        tp, fp, fn, iou = (counts[key] for key in ("tp", "fp", "fn", "iou"))
        if tp + fp + fn == 0:
            per_class.append(None)
            continue
        half = tp + fp / 2 + fn / 2
        per_class.append((100 * iou / half, 100 * iou / tp if tp else 0.0, 100 * tp / half))

    def mean(classes: Iterable[int]) -> list[float | None]:
        rows = [row for c in classes if (row := per_class[c]) is not None]
        return [sum(column) / len(rows) for column in zip(*rows, strict=True)] if rows else [None] * 3

    return {
        "all": mean(range(CLASSES)),
        "things": mean(THINGS),
        "stuff": mean(set(range(CLASSES)) - THINGS),
        **{f"class {c}": mean([c]) for c in range(CLASSES)},
        "counts": [(counts["tp"], counts["fp"], counts["fn"]) for counts in total.values()],
    }


# ----------------------------------------------------------------------------------------------------------------------


def measured(images: Iterable[Case]) -> PanopticScores:
    return gathered(images).compute()


def gathered(images: Iterable[Case]) -> PanopticQuality:
    metric = PanopticQuality(things=THINGS, num_classes=CLASSES)
    for image in images:
        metric.update(image.pred, image.pred_segments, image.true, image.true_segments)
    return metric


def assert_equal_to_definition(images: Sequence[Case]) -> None:
    scores, definition = measured(images), expected(images)
    rows = {"all": scores["all"], "things": scores["things"], "stuff": scores["stuff"]}
    rows |= {f"class {c}": scores["per_class"][c] for c in range(CLASSES)}
    for name, row in rows.items():
        for key, value in zip(("pq", "sq", "rq"), definition[name], strict=True):
            found = row[key]  # type: ignore[literal-required]
            assert found == (None if value is None else pytest.approx(value, abs=1e-6)), (name, key)
    assert [(row["tp"], row["fp"], row["fn"]) for row in scores["per_class"]] == definition["counts"]


@st.composite
def images(draw: st.DrawFn) -> Case:
    """Small maps of few segments; the prediction is often the truth with some pixels changed, so that some match."""
    height, width = draw(st.tuples(st.integers(0, 8), st.integers(0, 8)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ids = [0, *rng.choice(np.arange(1, 1 << 24), draw(st.integers(0, 6)), replace=False).tolist()]
    true = rng.choice(ids, (height, width)).astype(np.int32)
    if draw(st.booleans()):  # a few large segments
        true = np.sort(true.ravel()).reshape(height, width)
    changed = rng.random((height, width)) < draw(st.sampled_from([0.0, 0.2, 0.5, 1.0]))
    pred = np.where(changed, rng.choice([*ids, 7], (height, width)), true).astype(np.int32)
    classes = {i: int(rng.integers(CLASSES)) for i in (*ids, 7)}
    crowd_share = draw(st.sampled_from([0.0, 0.3, 1.0]))
    return Case(
        pred,
        [
            Predicted(i, classes[i] if rng.random() < 0.8 else int(rng.integers(CLASSES)))
            for i in np.unique(pred).tolist()
            if i
        ],
        true,
        [TrueSegment(i, classes[i], bool(rng.random() < crowd_share)) for i in ids[1:]],  # some without pixels
    )


@given(st.lists(images(), max_size=4))
def test_random_images_score_as_the_definition_says(scenes: list[Case]) -> None:
    assert_equal_to_definition(scenes)


HAND_MADE = {
    "perfect": case([[1, 1, 2]], {1: 0, 2: 2}, [[5, 5, 9]], {5: 0, 9: 2}),
    "nothing predicted": case([[0, 0, 0]], {}, [[5, 5, 9]], {5: 0, 9: 2}),
    "nothing to find": case([[1, 1, 2]], {1: 0, 2: 2}, [[5, 5, 9]], {5: 3, 9: 3}),
    "empty truth": case([[1, 1, 2]], {1: 0, 2: 2}, [[0, 0, 0]], {}),
    "both empty": case([[0, 0]], {}, [[0, 0]], {}),
    "wrong class": case([[1, 1, 1]], {1: 1}, [[1, 1, 1]], {1: 0}),
    "half is no match": case([[1, 1, 0, 0]], {1: 0}, [[1, 1, 1, 1]], {1: 0}),
    "just above half": case([[1, 1, 1, 0, 0]], {1: 0}, [[1, 1, 1, 1, 1]], {1: 0}),
    "void leaves the union": case([[1, 1, 1, 1]], {1: 0}, [[1, 0, 0, 0]], {1: 0}),
    "mostly on void": case([[1, 1, 1]], {1: 0}, [[0, 0, 2]], {2: 1}),
    "half on void": case([[1, 1]], {1: 0}, [[0, 2]], {2: 1}),
    "crowd of the class": case([[1, 1, 2]], {1: 0, 2: 0}, [[3, 3, 3]], {3: 0}, crowds=[3]),
    "crowd of another class": case([[1, 1]], {1: 0}, [[3, 3]], {3: 1}, crowds=[3]),
    "half on void, half on crowd": case([[1, 1, 1, 1]], {1: 0}, [[0, 3, 3, 4]], {3: 0, 4: 1}, crowds=[3]),
    "two crowds": case([[1, 1, 2, 2]], {1: 0, 2: 0}, [[3, 3, 4, 4]], {3: 0, 4: 0}, crowds=[3, 4]),
    "crowd stays in the union": case([[1, 1, 1, 1]], {1: 0}, [[2, 2, 3, 3]], {2: 0, 3: 0}, crowds=[3]),
    "split": case([[1, 1, 2, 2]], {1: 0, 2: 0}, [[7, 7, 7, 7]], {7: 0}),
    "split unevenly": case([[1, 1, 1, 2]], {1: 0, 2: 0}, [[7, 7, 7, 7]], {7: 0}),
    "merged": case([[1, 1, 1, 1]], {1: 1}, [[7, 7, 8, 8]], {7: 1, 8: 1}),
    "merged unevenly": case([[1, 1, 1, 1]], {1: 1}, [[7, 7, 7, 8]], {7: 1, 8: 1}),
    "listed without pixels": case([[1, 1]], {1: 0}, [[1, 1]], {1: 0, 2: 0}),
    "no pixels": Case(np.zeros((0, 3), np.int32), [], np.zeros((0, 3), np.int32), []),
    "largest ids": case([[(1 << 24) - 1]], {(1 << 24) - 1: 0}, [[(1 << 24) - 2]], {(1 << 24) - 2: 0}),
}


@pytest.mark.parametrize("name", HAND_MADE)
def test_hand_made_images_score_as_the_definition_says(name: str) -> None:
    assert_equal_to_definition([HAND_MADE[name]])


def test_figures_worked_out_by_hand() -> None:
    """Class 0: IoUs of 3/4 and 1, a miss; class 2: one of 1/2, which is no match; classes 1 and 3 are nowhere."""
    pred = [[1, 1, 1, 0, 2, 2, 0, 3, 3, 0, 0]]
    true = [[4, 4, 4, 4, 5, 5, 6, 7, 7, 7, 7]]
    scores = measured([case(pred, {1: 0, 2: 0, 3: 2}, true, {4: 0, 5: 0, 6: 0, 7: 2})])
    assert scores["things"] == pytest.approx({"pq": 70.0, "sq": 87.5, "rq": 80.0})
    assert scores["stuff"] == {"pq": 0.0, "sq": 0.0, "rq": 0.0}
    assert scores["all"] == pytest.approx({"pq": 35.0, "sq": 43.75, "rq": 40.0})
    assert scores["per_class"][1] == {"pq": None, "sq": None, "rq": None, "tp": 0, "fp": 0, "fn": 0}
    assert [scores["per_class"][0][key] for key in ("tp", "fp", "fn")] == [2, 0, 1]


def test_matching_is_returned() -> None:
    metric = PanopticQuality(things=THINGS, num_classes=CLASSES)
    image = HAND_MADE["split unevenly"]
    matching = metric.update(image.pred, image.pred_segments, image.true, image.true_segments)
    assert matching.matched.tolist() == [[True, False]]
    assert matching.iou.tolist() == [[0.75, 0.25]]
    assert (matching.missed.tolist(), matching.spurious.tolist()) == ([False], [False, True])


@given(st.lists(images(), max_size=5), st.randoms())
def test_neither_order_nor_grouping_of_images_matters(scenes: list[Case], random: Any) -> None:
    whole = measured(scenes)
    random.shuffle(scenes)
    halves = gathered(scenes[: len(scenes) // 2])
    halves.merge(gathered(scenes[len(scenes) // 2 :]))
    for key, value in halves.compute()["all"].items():
        found = whole["all"][key]  # type: ignore[literal-required]
        assert found == (None if value is None else pytest.approx(value))
    assert [row["tp"] for row in halves.compute()["per_class"]] == [row["tp"] for row in whole["per_class"]]


WRONG = {
    "same shape": case([[1]], {1: 0}, [[1, 1]], {1: 0}),
    "the map has the id 2": case([[1, 2]], {1: 0}, [[1, 1]], {1: 0}),
    "the map has the id 9": case([[1, 1]], {1: 0}, [[1, 9]], {1: 0}),
    "the map has the id 4294967295": case([[1, -1]], {1: 0}, [[1, 1]], {1: 0}),
    "segment 2 has no pixels": case([[1, 1]], {1: 0, 2: 0}, [[1, 1]], {1: 0}),
    "distinct and not 0": case([[0, 1]], {0: 0, 1: 0}, [[1, 1]], {1: 0}),
    "classes run from 4 to 4": case([[1, 1]], {1: 0}, [[1, 1]], {1: CLASSES}),
    "classes run from -1 to 0": case([[1, 2]], {1: 0, 2: -1}, [[1, 1]], {1: 0}),
}


@pytest.mark.parametrize("message", WRONG)
def test_maps_that_contradict_their_segments_are_refused_and_not_counted(message: str) -> None:
    metric, image = PanopticQuality(things=THINGS, num_classes=CLASSES), WRONG[message]
    with pytest.raises(ValueError, match=message):
        metric.update(image.pred, image.pred_segments, image.true, image.true_segments)
    assert metric.compute() == measured([])


def test_ids_listed_twice_are_refused() -> None:
    one = np.ones((1, 1), np.int32)
    with pytest.raises(ValueError, match="must be distinct"):
        gathered([Case(one, [Predicted(1, 0)], one, [TrueSegment(1, 0), TrueSegment(1, 1)])])


def test_things_must_be_classes() -> None:
    with pytest.raises(ValueError, match="out of 0 to 3"):
        PanopticQuality(things={4}, num_classes=4)


# Mean intersection over union ---------------------------------------------------------------------------------------

VOID = 255


def plain_iou(pairs: Sequence[tuple[Map, Map]]) -> list[float | None]:
    ious: list[float | None] = []
    for c in range(CLASSES):
        both = either = 0
        for pred, true in pairs:
            for p, t in zip(pred.ravel().tolist(), true.ravel().tolist(), strict=True):
                if t != VOID:
                    both += p == c and t == c
                    either += c in (p, t)
        ious.append(100 * both / either if either else None)
    return ious


@st.composite
def semantic_pairs(draw: st.DrawFn) -> tuple[Map, Map]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(st.integers(0, 6), st.integers(0, 6)))
    values = [*draw(st.lists(st.integers(0, CLASSES - 1), max_size=3)), VOID]
    return rng.choice(values, shape).astype(np.int32), rng.choice(values, shape).astype(np.int32)


@given(st.lists(semantic_pairs(), max_size=4))
def test_mean_iou_is_that_of_plain_loops_however_it_is_gathered(pairs: list[tuple[Map, Map]]) -> None:
    whole, half = (MeanIoU(num_classes=CLASSES, ignore_value=VOID) for _ in range(2))
    for i, pair in enumerate(pairs):
        (half if i % 2 else whole).update(*pair)
    whole.merge(half)
    ious = plain_iou(pairs)
    present = [iou for iou in ious if iou is not None]
    scores = whole.compute()
    assert scores["per_class"] == [None if iou is None else pytest.approx(iou) for iou in ious]
    assert scores["miou"] == (pytest.approx(sum(present) / len(present)) if present else None)


def test_mean_iou_by_hand() -> None:
    metric = MeanIoU(num_classes=CLASSES)
    metric.update(np.array([[0, 0, 1, 1]]), np.array([[0, 1, 1, VOID]]))
    assert metric.compute() == {"miou": 50.0, "per_class": [50.0, 50.0, None, None]}


def test_mean_iou_refuses_other_values() -> None:
    metric, right = MeanIoU(num_classes=CLASSES), np.zeros((2, 2), np.int32)
    for wrong in (right + 4, right - 1):
        for pair in ((right, wrong), (wrong, right)):
            with pytest.raises(ValueError, match="classes run from"):
                metric.update(*pair)
    with pytest.raises(ValueError, match="same shape"):
        metric.update(right, right[:1])
    assert metric.compute()["miou"] is None
    with pytest.raises(ValueError, match="one of the 300 classes"):
        MeanIoU(num_classes=300)
