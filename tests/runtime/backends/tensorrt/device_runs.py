"""Images for the stages on the GPU, runs through them, and comparisons with the results of the CPU."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.manifest import Thresholds
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.inference.host_pipeline import HostPipeline
from pem_edge.runtime.inference.pipeline import AnyPipeline, Merged

STAGES = ["host to device", "preprocess", "inference", "postprocess", "device to host"]
DEFAULT = Thresholds()
OPENCV_IS_MATCHED = platform.machine() == "x86_64"
"""Whether OpenCV scales exactly as the kernels do; on other processors it may differ by a gray level."""

ATOL = 1e-4 if OPENCV_IS_MATCHED else 0.2
"""Absolute tolerance for mask logits, of which a gray level is 0.16."""


def make_image(seed: int, height: int = 64, width: int = 96) -> NDArray[np.uint8]:
    """Return an image with patches of the colors that the tiny model knows, and a little noise."""
    rng = np.random.default_rng(seed)
    colors = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (90, 90, 90)])
    patches = rng.integers(0, len(colors), (4, 5))
    image = colors[patches[np.arange(height) * 4 // height][:, np.arange(width) * 5 // width]]
    return np.asarray((image + rng.integers(-9, 9, image.shape)).clip(0, 255), np.uint8)


def pipelines(backend: Backend) -> tuple[AnyPipeline, AnyPipeline]:
    """Return the backend's pipeline, and one that merges on the host."""
    return backend.pipeline(), HostPipeline.of(backend)


def run_image(pipeline: AnyPipeline, image: Any, thresholds: Thresholds = DEFAULT) -> Merged:
    (merged,) = run_batch(pipeline, [image], thresholds)
    return merged


def run_batch(pipeline: AnyPipeline, images: list[Any], thresholds: Thresholds = DEFAULT) -> list[Merged]:
    return pipeline.merge(pipeline.infer([pipeline.prepare(image) for image in images], thresholds))


def assert_alike(found: NDArray[np.int32], expected: NDArray[np.int32]) -> None:
    """Check that maps are equal or, if OpenCV scales differently from the kernels, nearly equal."""
    if OPENCV_IS_MATCHED:
        np.testing.assert_array_equal(found, expected)
    assert np.count_nonzero(found != expected) <= found.size / 100


def assert_same(found: Merged, expected: Merged) -> None:
    assert_alike(found.panoptic, expected.panoptic)
    assert found.panoptic.dtype == np.int32
    assert [segment.category_id for segment in found.segments] == [segment.category_id for segment in expected.segments]
    if not OPENCV_IS_MATCHED:
        return
    for ours, theirs in zip(found.segments, expected.segments, strict=True):
        assert ours.score == pytest.approx(theirs.score, rel=1e-6)
        assert vars(ours) | {"score": 0} == vars(theirs) | {"score": 0}
