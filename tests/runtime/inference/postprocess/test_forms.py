"""The compiled merge gives the same results as the NumPy one for every instruction set, except for rounded ties."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.errors import PemError
from pem_edge.runtime.inference import postprocess
from pem_edge.runtime.inference.postprocess.acceptance import (
    Candidates,
    PixelAssignment,
    build_segments,
    select_candidates,
)
from pem_edge.runtime.inference.postprocess.compiled_assignment import CompiledAssignment
from pem_edge.runtime.inference.postprocess.native import build, library
from pem_edge.runtime.inference.postprocess.panoptic_merge import OVERRIDE
from reference.scenes import Scene
from reference.synthetic import synthetic
from tests.runtime.helpers import forms
from tests.runtime.helpers.random_scenes import scenes

THRESHOLDS = st.sampled_from([0.0, 0.3, 0.5, 0.8, 0.9])


@pytest.fixture(scope="module", params=list(build.instruction_sets()))
def functions(request: pytest.FixtureRequest) -> Iterator[library.Functions]:
    """Yield the compiled functions of each instruction set that this processor has; merges use them by default."""
    with pytest.MonkeyPatch.context() as patch:
        found = forms.compiled(request.param)
        patch.setattr(library, "load", lambda: found)
        yield found


@settings(max_examples=100, deadline=None)
@given(scenes(), THRESHOLDS, THRESHOLDS, st.booleans())
def test_both_implementations_agree(
    functions: library.Functions, scene: Scene, score: float, overlap: float, half: bool
) -> None:
    check_agreement(functions, replace(scene, masks=scene.masks.astype(np.float16)) if half else scene, score, overlap)


def check_agreement(functions: library.Functions, scene: Scene, score: float, overlap: float = 0.8) -> None:
    """Check that both implementations assign every pixel alike except ties, and then give the same segments and map."""
    among = select_candidates(scene.logits, score)
    if not len(among.queries):
        return
    if not agree_on_all_pixels(scene, among, *forms.assignments(scene, among, functions)):
        return
    ours, theirs = (
        build_segments(assignment, among, {0, 1}, overlap) for assignment in forms.assignments(scene, among, functions)
    )
    assert ours[1] == theirs[1]
    np.testing.assert_array_equal(ours[0], theirs[0])


def agree_on_all_pixels(scene: Scene, among: Candidates, ours: PixelAssignment, theirs: PixelAssignment) -> bool:
    """Return whether counts, boxes and assigned pixels are equal. Fail if they differ by more than ties."""
    everyone = np.arange(1, len(among.queries) + 1, dtype=np.int32)
    for assignment in (ours, theirs):
        assignment.complete(everyone > 0)
    visible, off = ours.counts().final > 0, np.abs(np.stack(ours.counts()) - theirs.counts())
    same_boxes = np.array_equal(ours.boxes()[visible], theirs.boxes()[visible])
    differing = ours.paint(everyone) != theirs.paint(everyone)
    if same_boxes and not off.any() and not differing.any():
        return True
    tied = forms.ties(scene, among)
    assert tied[differing].all()
    assert off.max() <= np.count_nonzero(tied)
    assert tied.any()
    return False


def predicted(geometry: Geometry, **options: int) -> Scene:
    """Return a scene with outputs like those of a trained model."""
    logits, masks = synthetic().predictions(19, *geometry.mask_size, **options)
    return Scene(logits, masks, geometry)


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry((4, 4), (1, 1), (1, 1)),
        Geometry((4, 4), (3, 1), (40, 3)),
        Geometry((1024, 4), (1023, 4), (1, 1)),
        Geometry((512, 1024), (511, 1001), (3, 5)),  # grid points between tiles that no pixel depends on
        Geometry((512, 1024), (512, 1001), (33, 17)),
        Geometry((8, 4096), (8, 4096), (17, 4100)),
    ],
)
@pytest.mark.parametrize("queries", [1, 32, 33, 100])  # a set of candidates has words of 32
def test_both_implementations_agree_at_extreme_sizes(
    functions: library.Functions, geometry: Geometry, queries: int
) -> None:
    check_agreement(functions, predicted(geometry, queries=queries), 0.05)


@pytest.mark.usefixtures("functions")
def test_of_identical_masks_the_first_wins() -> None:
    logits = np.array([[9, 0, 0], *[[0, 9, 0]] * 39], np.float32)
    mask = np.random.default_rng(0).normal(1, 3, (1, 16, 24)).astype(np.float32)
    sizes = vars(Geometry((64, 96), (64, 96), (99, 50)))
    segment_map, segments = postprocess.panoptic(logits, np.tile(mask, (40, 1, 1)), things={0, 1}, **sizes)
    assert [(segment.id, segment.category_id) for segment in segments] == [(1, 0)]
    assert np.count_nonzero(segment_map) == segments[0].area


def test_confidence_is_as_precise_as_single_precision(functions: library.Functions) -> None:
    """A mask of 30, which is sure, wins or loses against any other by a score that differs in the seventh digit."""
    geometry = Geometry((4, 4), (4, 4), (1, 1))
    for mask in np.linspace(-60, 30, 500, dtype=np.float32):
        score = 1 / (1 + np.exp(-np.float64(mask)))
        for factor, winner in ((1 - 5e-7, 0), (1 + 5e-7, 1)):
            masks, scores = np.array([mask, 30], np.float32), np.array([1, score * factor], np.float32)
            assignment = CompiledAssignment(masks.reshape(2, 1, 1), np.arange(2), scores, geometry, functions)
            assert assignment.counts().won.argmax() == winner, mask


@pytest.mark.usefixtures("functions")
@settings(max_examples=60, deadline=None)
@given(scenes(), st.booleans(), st.sampled_from([np.nan, np.inf, -np.inf]), st.data())
def test_both_implementations_refuse_what_is_not_finite(
    scene: Scene, half: bool, value: float, data: st.DataObject
) -> None:
    """At the same grid points: all from the first to the last that matters, of the queries that take part."""
    masks: NDArray[Any] = scene.masks.astype(np.float16 if half else np.float32)
    masks[tuple(data.draw(st.integers(0, size - 1)) for size in masks.shape)] = value
    scene = replace(scene, masks=masks)
    assert complaint("compiled", scene) == complaint("numpy", scene)


def complaint(form: str, scene: Scene) -> str:
    """Return the message of the merge's ValueError, or an empty string."""
    try:
        merged(form, scene, score_threshold=0.3)
    except ValueError as error:
        return str(error)
    return ""


def merged(form: str, scene: Scene, **options: Any) -> tuple[NDArray[np.int32], list[Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(OVERRIDE, form)
        return postprocess.panoptic(scene.logits, scene.masks, things={1}, **options, **scene.sizes)


@pytest.fixture
def scene() -> Scene:
    """Return a scene of ordinary size."""
    return predicted(Geometry((128, 256), (128, 256), (200, 400)))


@pytest.mark.usefixtures("functions")
@pytest.mark.parametrize("change", [np.asfortranarray, lambda masks: masks.astype(np.float64), lambda masks: masks[:]])
def test_any_layout_and_type_of_masks_is_taken(scene: Scene, change: Any) -> None:
    expected_map, expected = merged("numpy", scene)
    masks = change(scene.masks)
    masks.flags.writeable = False
    segment_map, segments = merged("compiled", replace(scene, masks=masks))
    np.testing.assert_array_equal(segment_map, expected_map)
    assert segments == expected


def test_threads_may_merge_at_once(functions: library.Functions) -> None:
    geometry = Geometry((256, 512), (256, 512), (256, 512))
    many = [predicted(geometry, seed=seed) for seed in range(8)]

    def once(scene: Scene) -> tuple[NDArray[np.int32], list[Any]]:
        among = select_candidates(scene.logits, 0.8)
        return build_segments(forms.assignments(scene, among, functions)[1], among, {1}, 0.8)

    expected = [once(scene) for scene in many]
    with ThreadPoolExecutor(4) as pool:
        for (segment_map, segments), alone in zip(pool.map(once, many * 4), expected * 4, strict=True):
            np.testing.assert_array_equal(segment_map, alone[0])
            assert segments == alone[1]


def test_the_variable_chooses_the_implementation(monkeypatch: pytest.MonkeyPatch) -> None:
    forms.compiled()
    monkeypatch.delenv(OVERRIDE, raising=False)
    assert postprocess.merging() == "compiled"
    monkeypatch.setenv(OVERRIDE, "numpy")
    assert postprocess.merging() == "numpy"
    monkeypatch.setenv(OVERRIDE, "fast")
    with pytest.raises(PemError, match='PEM_EDGE_MERGE is "fast", expected compiled or numpy'):
        postprocess.merging()


def test_without_the_library_numpy_merges_unless_it_is_demanded(monkeypatch: pytest.MonkeyPatch, scene: Scene) -> None:
    monkeypatch.setattr(library, "load", lambda: None)
    monkeypatch.delenv(OVERRIDE, raising=False)
    assert postprocess.merging() == "numpy"
    assert postprocess.panoptic(scene.logits, scene.masks, things={1}, **scene.sizes)[1]
    monkeypatch.setenv(OVERRIDE, "compiled")
    with pytest.raises(PemError, match=r"no compiled merge is here: run python -m pem_edge.*native\.build"):
        postprocess.merging()
