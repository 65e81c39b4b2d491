"""The panoptic merge, semantic map and instances equal Mask2Former's at every size, crop and threshold."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.inference import postprocess
from pem_edge.runtime.inference.postprocess.panoptic_merge import OVERRIDE
from pem_edge.runtime.results.segments import Segment
from reference.scenes import GOLDEN, Scene, golden
from reference.synthetic import synthetic
from tests.runtime.helpers import forms, published
from tests.runtime.helpers.random_scenes import scenes

CASES = [(dataset, case) for dataset, cases in GOLDEN.items() for case in cases]
SMALL = Geometry((32, 64), (32, 64), (32, 64))
THRESHOLDS = st.sampled_from([0.0, 0.3, 0.5, 0.8, 0.9])
THINGS = st.sets(st.integers(0, 5))


@pytest.fixture(scope="module", params=["compiled", "numpy"])
def either_implementation(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run the test with each implementation of the merge."""
    if request.param == "compiled":
        forms.compiled()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(OVERRIDE, request.param)
        yield


def differing(ours: NDArray[np.int32], theirs: NDArray[np.integer]) -> int:
    """Return the number of differing pixels beyond those that rounding may cause: two, and two in a million."""
    return max(0, int(np.count_nonzero(ours != theirs)) - 2 - 2 * ours.size // 1_000_000)


def check_segments(segment_map: NDArray[np.int32], segments: list[Segment]) -> None:
    """Check that the segments have the ids, areas and boxes that the map shows."""
    assert set(np.unique(segment_map)) - {0} == {segment.id for segment in segments}
    for segment in segments:
        y, x = np.nonzero(segment_map == segment.id)
        assert segment.area == len(y)
        assert list(segment.bbox) == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]


@pytest.mark.usefixtures("either_implementation")
@pytest.mark.parametrize(("dataset", "case"), CASES)
def test_golden_panoptic(dataset: str, case: str) -> None:
    classes = labels.load(dataset)
    scene, expected = golden(dataset, case, len(classes))
    segment_map, segments = postprocess.panoptic(
        scene.logits, scene.masks, things=labels.things(classes), **scene.sizes
    )
    assert [(s.id, s.category_id, s.isthing) for s in segments] == [tuple(row) for row in expected["segments"]]
    assert segment_map.dtype == np.int32
    assert differing(segment_map, expected["panoptic_seg"]) == 0
    check_segments(segment_map, segments)


@pytest.mark.parametrize(("dataset", "case"), CASES)
def test_golden_semantic(dataset: str, case: str) -> None:
    scene, expected = golden(dataset, case, len(labels.load(dataset)))
    classes = postprocess.semantic(scene.logits, scene.masks, **scene.sizes)
    assert classes.dtype == np.int32
    assert differing(classes, expected["sem_seg_argmax"]) == 0


@pytest.mark.parametrize(("dataset", "case"), CASES)
def test_golden_instances(dataset: str, case: str) -> None:
    classes = labels.load(dataset)
    scene, expected = golden(dataset, case, len(classes))
    found = postprocess.instances(scene.logits, scene.masks, things=labels.things(classes), top_k=20, **scene.sizes)
    np.testing.assert_allclose([i.score for i in found], expected["instance_scores"], atol=1e-4)
    assert [i.category_id for i in found] == expected["instance_classes"].tolist()
    np.testing.assert_allclose([i.mask.sum() for i in found], expected["instance_areas"], atol=2)


@pytest.mark.usefixtures("either_implementation")
@settings(max_examples=300, deadline=None)
@given(scenes(), THINGS, THRESHOLDS, THRESHOLDS)
def test_panoptic_is_the_published_merge(scene: Scene, things: set[int], score: float, overlap: float) -> None:
    options: dict[str, Any] = {"things": things, "score_threshold": score, "overlap_threshold": overlap}
    segment_map, segments = postprocess.panoptic(scene.logits, scene.masks, **options, **scene.sizes)
    expected_map, expected = published.panoptic(scene.logits, scene.masks, **options, **scene.sizes)
    assert [(s.id, s.category_id, s.isthing) for s in segments] == expected
    assert differing(segment_map, expected_map) == 0
    check_segments(segment_map, segments)


@settings(max_examples=150, deadline=None)
@given(scenes())
def test_semantic_is_the_published_argmax(scene: Scene) -> None:
    classes = postprocess.semantic(scene.logits, scene.masks, **scene.sizes)
    scores = published.semantic_scores(scene.logits, scene.masks, **scene.sizes)
    chosen = np.take_along_axis(scores, classes[None], axis=0)[0]
    np.testing.assert_array_less(scores.max(axis=0), chosen * (1 + 1e-5) + 1e-30)  # else rounding broke a tie


@settings(max_examples=150, deadline=None)
@given(scenes(), THINGS, st.integers(1, 30))
def test_instances_are_the_published_ones_that_have_pixels(scene: Scene, things: set[int], top_k: int) -> None:
    found = postprocess.instances(scene.logits, scene.masks, things=things, top_k=top_k, **scene.sizes)
    expected = published.instances(scene.logits, scene.masks, things=things, top_k=top_k, **scene.sizes)
    visible = [(score, category, mask) for score, category, mask in expected if mask.any()]
    assert [i.category_id for i in found] == [category for _, category, _ in visible]
    for instance, (score, _, mask) in zip(found, visible, strict=True):
        flipped = np.count_nonzero(instance.mask != mask)
        assert flipped <= 2
        assert instance.score == pytest.approx(score, abs=1e-5 + flipped / mask.sum())


@settings(max_examples=100, deadline=None)
@given(scenes(), THINGS, THRESHOLDS)
def test_a_threshold_leaves_the_instances_that_reach_it(scene: Scene, things: set[int], score: float) -> None:
    every = postprocess.instances(scene.logits, scene.masks, things=things, **scene.sizes)
    found = postprocess.instances(scene.logits, scene.masks, things=things, score_threshold=score, **scene.sizes)
    expected = [instance for instance in every if instance.score >= score]
    assert [(i.category_id, i.score) for i in found] == [(i.category_id, i.score) for i in expected]
    for instance, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(instance.mask, other.mask)


def accepted(masks: NDArray[np.float32]) -> list[int]:
    """Return which of two equally certain queries, of classes 0 and 1, become segments."""
    logits = np.array([[8, 0, 0], [0, 8, 0]], np.float32)
    height, width = 4 * masks.shape[1], 4 * masks.shape[2]
    sizes = vars(Geometry((height, width), (height, width), (height, width)))
    _, segments = postprocess.panoptic(logits, masks, things={0, 1}, **sizes)
    _, expected = published.panoptic(logits, masks, things={0, 1}, **sizes)
    assert [(s.id, s.category_id, s.isthing) for s in segments] == expected
    return [s.category_id for s in segments]


@pytest.mark.usefixtures("either_implementation")
def test_background_that_a_query_wins_counts_for_its_acceptance() -> None:
    """A query that loses most of its own pixels stays if it wins enough where no mask reaches 0.5."""
    masks = np.random.default_rng(0).uniform(-3, -1, (2, 128, 128)).astype(np.float32)
    masks[0, 33:47, 33:47], masks[1, 33:47, 33:46] = 1, 5
    assert accepted(masks) == [0, 1]
    masks[0, masks[0] < 0] = -9  # now the other query wins the background
    assert accepted(masks) == [1]


@pytest.mark.usefixtures("either_implementation")
def test_pixels_a_query_is_sure_to_lose_count_against_it() -> None:
    masks = np.full((2, 64, 64), -9, np.float32)
    masks[1] = -6  # so that the background is the other's
    masks[0, :, 24:40], masks[1, :, :33] = 1, 9
    assert accepted(masks) == [1]
    masks[1, :, 26:33] = -6
    assert accepted(masks) == [0, 1]


@pytest.mark.usefixtures("either_implementation")
def test_a_mask_of_exactly_one_half_is_in() -> None:
    masks = np.zeros((2, 64, 64), np.float32)
    masks[1, :, :] = -1
    assert accepted(masks) == [0]


@pytest.mark.usefixtures("either_implementation")
def test_merged_stuff_has_the_best_score_and_the_joint_box() -> None:
    masks = np.full((2, 8, 16), -9.0, np.float32)
    masks[0, :, :4], masks[1, :, 12:] = 9.0, 9.0
    logits = np.array([[4, 0, 0], [6, 0, 0]], np.float32)
    _, (segment,) = postprocess.panoptic(logits, masks, things=(), **vars(SMALL))
    assert segment.score == pytest.approx(1 / (1 + 2 * np.exp(-6)))
    assert segment.bbox == (0, 0, 64, 32)
    assert segment.area == 2 * 16 * 32
    assert segment.label == ""


@pytest.mark.usefixtures("either_implementation")
def test_half_precision_outputs_are_taken_as_they_are() -> None:
    logits, masks = synthetic().predictions(19, 32, 64)
    logits, masks = logits.astype(np.float16), masks.astype(np.float16)
    sizes = vars(Geometry((128, 256), (128, 256), (200, 400)))
    half = postprocess.panoptic(logits, masks, things={11, 12}, **sizes)
    single = postprocess.panoptic(logits.astype(np.float32), masks.astype(np.float32), things={11, 12}, **sizes)
    np.testing.assert_array_equal(half[0], single[0])
    assert half[1] == single[1]


@pytest.mark.usefixtures("either_implementation")
def test_nothing_predicted_is_void() -> None:
    logits, masks = np.array([[0, 0, 9]], np.float32), np.ones((1, 8, 16), np.float32)
    segment_map, segments = postprocess.panoptic(logits, masks, things={0}, **vars(SMALL))
    assert segments == []
    assert not segment_map.any()


def test_the_memory_of_a_semantic_map_is_far_below_one_mask_per_query() -> None:
    logits, masks = synthetic().predictions(150, 128, 256)
    postprocess.semantic(logits, masks, **vars(Geometry((512, 1024), (512, 1024), (512, 1024))))
    tracemalloc.start()
    postprocess.semantic(logits, masks, **vars(Geometry((512, 1024), (512, 1024), (512, 1024))))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 << 20  # one mask per query would be 200 MiB, one per class 300


@pytest.mark.usefixtures("either_implementation")
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"logits": np.zeros((3, 1), np.float32)}, "logits have shape"),
        ({"logits": np.full((3, 4), np.nan, np.float32)}, "logits hold NaN"),
        ({"masks": np.zeros((2, 8, 16), np.float32)}, "masks have shape"),
        ({"masks": np.zeros((3, 8, 15), np.float32)}, "masks have shape"),
        ({"masks": np.full((3, 8, 16), np.inf, np.float32)}, "masks hold NaN or infinity"),
        ({"masks": np.full((3, 8, 16), np.nan, np.float32)}, "masks hold NaN or infinity"),
        ({"padded_size": (30, 64)}, "expected multiples of 4"),
        ({"image_size": (33, 64)}, "does not fit"),
        ({"image_size": (0, 64)}, "expected a positive"),
        ({"output_size": (32, -1)}, "expected a positive"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], complaint: str) -> None:
    logits = np.array([[9, 0, 0, 0]] * 3, np.float32)
    arguments = {"logits": logits, "masks": np.zeros((3, 8, 16), np.float32), **vars(SMALL), **change}
    with pytest.raises(ValueError, match=complaint):
        postprocess.panoptic(**arguments, things={0})
    with pytest.raises(ValueError, match=complaint):
        postprocess.semantic(**arguments)
    with pytest.raises(ValueError, match=complaint):
        postprocess.instances(**arguments, things={0})
