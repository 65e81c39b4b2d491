"""The merge kernels compute the same map and segments as the CPU's merge, for every size and threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.backends.tensorrt.kernels.launches import MAX_QUERIES
from pem_edge.runtime.inference import postprocess
from pem_edge.runtime.results.segments import Segment
from reference.host_cuda.kernels import HostKernels
from reference.kernel_cases import Merged
from reference.scenes import GOLDEN, Scene, golden
from reference.synthetic import synthetic
from tests.runtime.backends.tensorrt.kernels.host import merge
from tests.runtime.helpers import published
from tests.runtime.helpers.random_scenes import scenes

CASES = [(dataset, case) for dataset, cases in GOLDEN.items() for case in cases]
THRESHOLDS = st.sampled_from([0.0, 0.3, 0.5, 0.8, 0.9])
PIXELS = [np.dtype(np.uint8), np.dtype(np.uint16)]
TIE = 1e-5
"""Maximum relative effect of rounding on a confidence, and on a mask logit."""


def undecided(scene: Scene, candidates: NDArray[np.void]) -> NDArray[np.bool_]:
    """Return pixels (H, W) where, in float64, the two best confidences tie or a mask is at one half."""
    best, second = np.zeros((2, *scene.geometry.output_size))
    at_half = np.zeros(scene.geometry.output_size, bool)
    for candidate in candidates:  # one at a time, to save memory
        (mask,) = published.resized(scene.masks[candidate["query"]][None], **scene.sizes)
        with np.errstate(over="ignore"):
            confidence = candidate["score"] / (1 + np.exp(-mask))
        second = np.maximum(second, np.minimum(best, confidence))
        best = np.maximum(best, confidence)
        at_half |= np.abs(mask) <= TIE * (1 + np.abs(scene.masks[candidate["query"]]).max())
    return np.asarray(at_half | (second >= best * (1 - TIE)))


def check(found: Merged, scene: Scene, things: set[int], **thresholds: Any) -> None:
    """Check that maps agree wherever float64 decides, and segments if it decides everywhere or nearly."""
    expected_map, expected = postprocess.panoptic(scene.logits, scene.masks, things=things, **thresholds, **scene.sizes)
    assert found.problems == 0
    if not len(found.candidates):
        assert not found.map.any()
        assert expected == []
        return
    ties = undecided(scene, found.candidates)
    differing = found.map != expected_map
    assert not (differing & ~ties).any()
    if not ties.any():
        np.testing.assert_array_equal(found.map, expected_map)
    assert [int(category) for category in found.segments["category"]] == [s.category_id for s in expected]
    check_segments(found, expected, int(differing.sum()))


def check_segments(found: Merged, expected: list[Segment], slack: int) -> None:
    """Check that segments describe the map, and equal the expected ones except for pixels that tie."""
    for number, (segment, other) in enumerate(zip(found.segments, expected, strict=True), 1):
        rows, columns = np.nonzero(found.map == number)
        box = [segment[name] for name in ("left", "top", "right", "bottom")]
        assert box == [columns.min(), rows.min(), columns.max(), rows.max()]
        assert segment["area"] == len(rows)
        assert abs(segment["area"] - other.area) <= slack
        assert segment["score"] == pytest.approx(other.score, rel=1e-6)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("dataset", "case"), CASES)
def test_golden(kernels: HostKernels, dataset: str, case: str, half: bool) -> None:
    classes = labels.load(dataset)
    scene, expected = golden(dataset, case, len(classes))
    if half:
        scene = Scene(scene.logits.astype(np.float16), scene.masks.astype(np.float16), scene.geometry)
    things = labels.things(classes)
    found = merge(kernels, scene, things)
    check(found, scene, set(things))
    if not half:
        assert np.count_nonzero(found.map != expected["panoptic_seg"]) <= 2 + 2 * found.map.size // 1_000_000


@settings(max_examples=200, deadline=None)
@given(scenes(), st.sets(st.integers(0, 5)), THRESHOLDS, THRESHOLDS, st.booleans(), st.sampled_from(PIXELS))
def test_any_scene(
    kernels: HostKernels,
    scene: Scene,
    things: set[int],
    score: float,
    overlap: float,
    half: bool,
    pixel: np.dtype[np.generic],
) -> None:
    if half:
        scene = Scene(scene.logits.astype(np.float16), scene.masks.astype(np.float16), scene.geometry)
    found = merge(kernels, scene, things, score, overlap, pixel)
    assert found.map.dtype == pixel
    check(found, scene, things, score_threshold=score, overlap_threshold=overlap)


def scene_of(logits: Any, masks: NDArray[np.floating]) -> Scene:
    size = (4 * masks.shape[1], 4 * masks.shape[2])
    return Scene(np.array(logits, np.float32), masks.astype(np.float32), Geometry(size, size, size))


def test_of_queries_that_tie_exactly_the_first_wins(kernels: HostKernels) -> None:
    masks = np.repeat(np.random.default_rng(0).normal(0, 3, (1, 30, 50)), 3, axis=0)
    found = merge(kernels, scene_of([[9, 0, 0], [9, 0, 0], [0, 9, 0]], masks), {0, 1})
    np.testing.assert_array_equal(found.candidates["won"], [120 * 200, 0, 0])
    assert found.map.max() == 1


def test_of_classes_that_tie_exactly_the_first_counts(kernels: HostKernels) -> None:
    found = merge(kernels, scene_of([[0, 5, 5, 0]], np.ones((1, 8, 8))), set(), score_threshold=0.1)
    assert found.segments["category"].tolist() == [1]


def test_a_mask_of_exactly_one_half_is_in(kernels: HostKernels) -> None:
    found = merge(kernels, scene_of([[9, 0]], np.zeros((1, 16, 16))), {0})
    assert (found.map == 1).all()


def test_extreme_logits_neither_overflow_nor_count_as_not_finite(kernels: HostKernels) -> None:
    masks = np.full((2, 8, 16), -60000.0)
    masks[0, :, :4], masks[1, :, 8:] = 60000, 88
    scene = scene_of([[60000, -60000, 0], [-60000, 60000, 0]], masks)
    check(merge(kernels, scene, {0, 1}), scene, {0, 1})


def test_nobody_takes_part(kernels: HostKernels) -> None:
    found = merge(kernels, scene_of([[0, 9]], np.ones((1, 8, 16))), {0})
    assert (len(found.candidates), len(found.segments)) == (0, 0)
    assert not found.map.any()


def test_merged_stuff_has_the_best_score_and_the_joint_box(kernels: HostKernels) -> None:
    masks = np.full((2, 8, 16), -9.0)
    masks[0, :, :4], masks[1, :, 12:] = 9, 9
    (segment,) = merge(kernels, scene_of([[4, 0, 0], [6, 0, 0]], masks), set()).segments
    assert segment["score"] == pytest.approx(1 / (1 + 2 * np.exp(-6)))
    assert segment.tolist()[2:] == (2 * 16 * 32, 0, 0, 63, 31)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("half", [False, True])
def test_values_that_are_not_finite_are_noticed(kernels: HostKernels, value: float, half: bool) -> None:
    dtype = np.float16 if half else np.float32
    for name, problem in (("logits", 1), ("masks", 2)):
        arrays = {"logits": np.array([[9, 0, 0]] * 3, dtype), "masks": np.ones((3, 24, 40), dtype)}
        arrays[name][(2, 1) if name == "logits" else (2, 23, 39)] = value
        found = merge(kernels, Scene(geometry=Geometry((96, 160), (96, 160), (96, 160)), **arrays), {0})
        assert found.problems == problem


def test_masks_of_queries_that_take_no_part_may_hold_anything(kernels: HostKernels) -> None:
    masks = np.ones((2, 8, 8))
    masks[1] = np.nan
    assert merge(kernels, scene_of([[9, 0], [0, 9]], masks), {0}).problems == 0


def test_as_many_queries_as_fit_into_shared_memory(kernels: HostKernels) -> None:
    logits, masks = synthetic().predictions(19, 16, 24)
    times = -(-MAX_QUERIES // len(logits))
    many = [np.concatenate([array] * times)[:MAX_QUERIES] for array in (logits, masks)]
    scene = Scene(many[0], many[1], Geometry((64, 96), (64, 96), (64, 96)))
    check(merge(kernels, scene, {11}, 0.0), scene, {11}, score_threshold=0.0)


@pytest.mark.parametrize(("queries", "pixel"), [(255, PIXELS[0]), (256, PIXELS[1]), (384, PIXELS[1])])
def test_every_query_can_be_a_segment_of_its_own(
    kernels: HostKernels, queries: int, pixel: np.dtype[np.generic]
) -> None:
    cells = np.arange(16 * 24).reshape(16, 24)
    scene = scene_of([[9, 0]] * queries, np.where(cells == np.arange(queries)[:, None, None], 60, -60))
    found = merge(kernels, scene, {0})
    assert found.map.dtype == pixel
    np.testing.assert_array_equal(np.unique(found.map), np.arange(queries + 1))
    check(found, scene, {0})


def test_the_full_size(kernels: HostKernels) -> None:
    logits, masks = synthetic().predictions(19, 128, 256)
    scene = Scene(logits, masks, Geometry((512, 1024), (512, 1000), (700, 1367)))
    check(merge(kernels, scene, {11, 12}), scene, {11, 12})
