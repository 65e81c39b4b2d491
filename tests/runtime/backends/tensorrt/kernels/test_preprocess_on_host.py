"""The kernels that fit images to a model's input compute the same images as OpenCV, for every size."""

from __future__ import annotations

import platform

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.manifest import InputSpec, Range
from pem_edge.runtime.inference import preprocess
from reference.host_cuda.kernels import HostKernels
from tests.runtime.backends.tensorrt.kernels.host import fit

PAD = (124, 116, 104)
sides = st.integers(1, 200)
boxes = st.integers(1, 6).map(lambda n: 32 * n)


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def differences(kernels: HostKernels, image: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.int64]:
    expected, geometry = preprocess.prepare(image, spec)
    fitted = fit(kernels, image, geometry, spec.pad_value)
    return np.asarray(np.abs(fitted.astype(np.int64) - expected))


@settings(max_examples=200, deadline=None)
@given(sides, sides, boxes, boxes, st.integers(0, 9))
@example(1, 200, 32, 192, 0)
@example(200, 1, 192, 32, 0)
@example(1, 1, 32, 64, 0)
def test_every_size_is_within_a_gray_level_of_opencv(
    kernels: HostKernels, height: int, width: int, rows: int, columns: int, seed: int
) -> None:
    found = differences(kernels, noise(height, width, seed), InputSpec(rows, columns, pad_value=PAD))
    assert found.max() <= 1
    if platform.machine() == "x86_64":
        assert np.count_nonzero(found) <= 1 + found.size // 1000


@pytest.mark.skipif(platform.machine() != "x86_64", reason="OpenCV may round otherwise on other processors")
@pytest.mark.parametrize(
    "size",
    [
        (128, 192),  # half: OpenCV rounds halves up
        (192, 288),  # a third
        (384, 576),  # a sixth: the mean is rounded to even
        (100, 150),  # shrinks by a fraction
        (65, 97),
        (720, 1280),
        (48, 72),  # grows
        (63, 95),
        (3, 5),
        (64, 96),  # stays
        (64, 50),  # only padded
    ],
)
def test_common_ratios_are_opencvs_to_the_bit(kernels: HostKernels, size: tuple[int, int]) -> None:
    assert not differences(kernels, noise(*size), InputSpec(64, 96, pad_value=PAD)).any()


@pytest.mark.parametrize("level", [0, 1, 254, 255])
@pytest.mark.parametrize("size", [(641, 479), (31, 47)])
def test_flat_images_stay_flat_at_the_ends_of_the_range(
    kernels: HostKernels, size: tuple[int, int], level: int
) -> None:
    image = np.full((*size, 3), level, np.uint8)
    assert not differences(kernels, image, InputSpec(64, 96, pad_value=PAD)).any()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300))
def test_inputs_of_varying_size(kernels: HostKernels, height: int, width: int) -> None:
    spec = InputSpec(128, 128, dynamic_height=Range(64, 128, 192), dynamic_width=Range(64, 128, 256))
    assert differences(kernels, noise(height, width), spec).max() <= 1
