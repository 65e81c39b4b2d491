"""Semantic maps, instances and pixel values are those of transformers' Mask2Former; panoptic maps where choices agree.

Theirs resize masks to 384x384 before anything else. Where a test has another size, that step goes to this size instead.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers.models.eomt.image_processing_pil_eomt import EomtImageProcessorPil
from transformers.models.mask2former.image_processing_pil_mask2former import Mask2FormerImageProcessorPil

from pem_edge.pem.model import STD, Normalization
from pem_edge.runtime.artifacts.manifest import InputSpec
from pem_edge.runtime.inference import postprocess, preprocess
from pem_edge.runtime.results.segments import Instance

Size = tuple[int, int]
Floats = NDArray[np.float32]

THEIR_SIZE = (384, 384)
CASES = [(THEIR_SIZE, 100, 80), (THEIR_SIZE, 20, 1), ((96, 160), 100, 19), ((352, 64), 7, 150), ((32, 32), 50, 133)]
"""Size of the input, queries and classes."""


class Theirs:
    """Their postprocessing of one image, of which masks are resized to ``size`` first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, size: Size) -> None:
        self._processor, self._size = Mask2FormerImageProcessorPil(), size
        interpolate = torch.nn.functional.interpolate

        def to_size(tensor: torch.Tensor, size: Size, **options: Any) -> torch.Tensor:
            return interpolate(tensor, size=self._size if tuple(size) == THEIR_SIZE else size, **options)

        monkeypatch.setattr(torch.nn.functional, "interpolate", to_size)

    def __call__(self, what: str, logits: Floats, masks: Floats, **options: Any) -> Any:
        """Return the result of ``post_process_<what>_segmentation``."""
        tensors = torch.from_numpy(logits[None]), torch.from_numpy(masks[None])
        outputs = SimpleNamespace(class_queries_logits=tensors[0], masks_queries_logits=tensors[1])
        process = getattr(self._processor, f"post_process_{what}_segmentation")
        return process(outputs, target_sizes=[self._size], **options)[0]


def sizes(size: Size) -> dict[str, Any]:
    return {"padded_size": size, "image_size": size, "output_size": size}


def outputs(seed: int, size: Size, queries: int, classes: int) -> tuple[Floats, Floats]:
    """Return class logits of which some are nearly sure, and mask logits on both sides of 0."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 5, (queries, classes + 1)).astype(np.float32)
    return logits, generator.normal(-1, 3, (queries, size[0] // 4, size[1] // 4)).astype(np.float32)


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> Callable[[Size], Theirs]:
    """Return a function that gives their postprocessing for a size of the input."""
    return lambda size: Theirs(monkeypatch, size)


@pytest.mark.parametrize(("size", "queries", "classes"), CASES)
def test_semantic_maps(theirs: Callable[[Size], Theirs], size: Size, queries: int, classes: int) -> None:
    logits, masks = outputs(0, size, queries, classes)
    found = postprocess.semantic(logits, masks, **sizes(size))
    expected = theirs(size)("semantic", logits, masks, return_segmentation_scores=True)
    scores, winners = expected.segmentation_scores.numpy(), expected.segmentation.numpy()
    assert np.mean(found == winners) > 0.999
    chosen = np.take_along_axis(scores, found[None], axis=0)[0]
    np.testing.assert_allclose(chosen, scores.max(axis=0), rtol=1e-4, atol=1e-6)  # else rounding broke a tie


def by_score(found: list[Instance], least: float = 0.0) -> list[Instance]:
    return sorted((each for each in found if each.score >= least), key=lambda each: (-each.score, each.category_id))


@pytest.mark.parametrize("threshold", [0.0, 0.5])
@pytest.mark.parametrize(("size", "queries", "classes"), CASES)
def test_instances(theirs: Callable[[Size], Theirs], size: Size, queries: int, classes: int, threshold: float) -> None:
    """As many pairs of query and class are considered as there are queries, theirs in no order."""
    logits, masks = outputs(1, size, queries, classes)
    found = postprocess.instances(
        logits, masks, things=range(classes), top_k=queries, score_threshold=threshold, **sizes(size)
    )
    expected = theirs(size)("instance", logits, masks, threshold=threshold, return_binary_maps=True)
    maps = expected["segmentation"].numpy() > 0
    ranked = sorted(zip(expected["segments_info"], maps, strict=True), key=lambda pair: -pair[0]["score"])
    assert [each.category_id for each in found] == [info["label_id"] for info, _ in ranked]
    for ours, (info, mask) in zip(found, ranked, strict=True):
        assert ours.score == pytest.approx(info["score"], abs=2e-6)
        assert np.count_nonzero(ours.mask != mask) <= 2


def test_instances_that_overlap_are_in_another_order_in_their_map(theirs: Callable[[Size], Theirs]) -> None:
    """Where one instance alone is, their map has it; where several are, it has any, and our drawing the best."""
    size = (96, 160)
    logits, masks = outputs(2, size, 100, 19)
    found = postprocess.instances(logits, masks, things=range(19), score_threshold=0.5, **sizes(size))
    assert len(found) > 5
    expected = theirs(size)("instance", logits, masks, threshold=0.5)
    scores = {info["id"]: info["score"] for info in expected["segments_info"]} | {-1: 0.0}
    shown = np.vectorize(scores.__getitem__)(expected["segmentation"].numpy().astype(int))
    covering = np.stack([np.where(each.mask, each.score, 0) for each in found])
    alone = np.count_nonzero(covering, axis=0) <= 1
    np.testing.assert_allclose(shown[alone], covering.max(axis=0)[alone], atol=2e-6)
    assert np.abs(covering - shown).min(axis=0).max() < 2e-6
    assert np.mean(alone) < 1


def test_panoptic_maps_agree_where_the_choices_do(theirs: Callable[[Size], Theirs]) -> None:
    """Without stuff that is merged, at equal thresholds and sizes, and if scores are 1, theirs only paints more.

    They paint the pixels of a segment whose mask is below one half, too. Scores are 1 because theirs compare the area
    of a segment with that of its mask times the score, ours (as Mask2Former's code) with that of its mask.
    """
    size, queries, classes = (160, 224), 30, 9
    logits, masks = scene(size, queries, classes)
    found, segments = postprocess.panoptic(
        logits, masks, things=range(classes), score_threshold=0.5, overlap_threshold=0.8, **sizes(size)
    )
    expected = theirs(size)("panoptic", logits, masks, threshold=0.5, overlap_mask_area_threshold=0.8)
    ids = expected["segmentation"].numpy()
    assert len(segments) > 10
    pairs = set(zip(found[found > 0].tolist(), ids[found > 0].tolist(), strict=True))
    assert len({one for one, _ in pairs}) == len({other for _, other in pairs}) == len(pairs)
    classes_of = {info["id"]: info["label_id"] for info in expected["segments_info"]}
    ours = {segment.id: segment.category_id for segment in segments}
    assert all(ours[one] == classes_of[other] for one, other in pairs)
    resized = torch.nn.functional.interpolate(torch.from_numpy(masks[None]), size=size, mode="bilinear")[0].numpy()
    more = (found == 0) & (ids > 0)
    assert more.any()
    real = logits.argmax(axis=1) < classes
    assert resized[real].max(axis=0)[more].max() < 1e-4  # a logit of 0 is one half


def scene(size: Size, queries: int, classes: int) -> tuple[Floats, Floats]:
    """Return outputs that divide the image among queries that are sure of their class, or of being no object."""
    generator = np.random.default_rng(3)
    grid = size[0] // 4, size[1] // 4
    owners = generator.integers(0, queries, (5, 7)).repeat(grid[0] // 5, axis=0).repeat(grid[1] // 7, axis=1)
    masks = np.where(np.arange(queries)[:, None, None] == owners, 5, -5) + generator.normal(0, 2, (queries, *grid))
    logits = 60.0 * np.eye(classes + 1)[generator.integers(0, classes + 1, queries)]
    return logits.astype(np.float32), masks.astype(np.float32)


@pytest.mark.parametrize(
    ("size", "height", "width"),
    [
        ({"height": 384, "width": 384}, 384, 384),
        ({"shortest_edge": 800, "longest_edge": 1333}, 800, 1184),
        ({"shortest_edge": 1024, "longest_edge": 2048}, 1024, 2048),
    ],
)
def test_pixel_values_of_an_image_of_the_inputs_size(size: dict[str, int], height: int, width: int) -> None:
    image = np.random.default_rng(4).integers(0, 256, (height, width, 3), dtype=np.uint8)
    processor = Mask2FormerImageProcessorPil(do_resize=True, size=size, size_divisor=32)
    expected = processor(images=[image], return_tensors="pt")["pixel_values"]
    fitted, _ = preprocess.prepare(image, InputSpec(height, width))
    found = Normalization()(torch.from_numpy(fitted[None]))
    gray_levels = (found - expected) * torch.tensor(STD).view(1, 3, 1, 1)
    assert gray_levels.abs().max() < 0.01


def test_panoptic_maps_of_eomt_are_theirs_with_stuff_merged_and_padding_cut_off() -> None:
    padded, image, output, classes = (160, 224), (160, 213), (240, 320), 9
    logits, masks = scene(padded, 40, classes)
    stuff = [0, 1, 2, 3]
    found, segments = postprocess.panoptic(
        logits,
        masks,
        padded_size=padded,
        image_size=image,
        output_size=output,
        things=[each for each in range(classes) if each not in stuff],
        score_threshold=0.8,
        overlap_threshold=0.8,
    )
    processor = EomtImageProcessorPil(size={"shortest_edge": padded[0], "longest_edge": padded[1]})
    tensors = torch.from_numpy(logits[None]), torch.from_numpy(masks[None])
    expected = processor.post_process_panoptic_segmentation(
        SimpleNamespace(class_queries_logits=tensors[0], masks_queries_logits=tensors[1]), [output], stuff_classes=stuff
    )[0]
    ours = {0: -1, **{segment.id: segment.category_id for segment in segments}}
    theirs = {-1: -1, **{info["id"]: info["label_id"] for info in expected["segments_info"]}}
    assert sorted(ours.values()) == sorted(theirs.values())
    assert any(each in stuff for each in ours.values())
    assert len(segments) > 5
    theirs_by_pixel = np.vectorize(theirs.__getitem__)(expected["segmentation"].numpy())
    assert np.mean(np.vectorize(ours.__getitem__)(found) == theirs_by_pixel) > 0.999
