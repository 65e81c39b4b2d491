"""Paths, Pillow images and arrays of every library become RGB uint8; whatever else is given is refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from pem_edge.runtime import images
from pem_edge.runtime.errors import InputError

COLORS = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[10, 20, 30], [40, 50, 60], [70, 80, 90]]], np.uint8)


class Interface:
    """An array that has NumPy's array interface only."""

    def __init__(self, array: NDArray[np.uint8]) -> None:
        self.__array_interface__ = array.__array_interface__
        self._kept = array


class Dlpack:
    """An array that has DLPack only."""

    def __init__(self, array: NDArray[np.uint8]) -> None:
        self._array = array

    def __dlpack__(self, **options: object) -> object:
        return self._array.__dlpack__(**options)  # type: ignore[arg-type]

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()


class OnAnotherDevice:
    """An array that refuses to become one of NumPy, as CuPy's and tensors on a GPU do."""

    def __array__(self, *_arguments: object, **_options: object) -> NDArray[np.uint8]:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu()\nfirst")


class Liar:
    """Claims to be an array and gives something else."""

    def __array__(self, *_arguments: object, **_options: object) -> str:
        return "no array"


@pytest.mark.parametrize("kind", [np.asarray, Interface, Dlpack, memoryview, np.ma.masked_array])
def test_arrays_of_every_library(kind: type) -> None:
    np.testing.assert_array_equal(images.convert(kind(COLORS.copy())), COLORS)


def test_contiguous_rgb_is_not_copied() -> None:
    assert np.shares_memory(images.from_array(COLORS), COLORS)


def test_gray_and_transparent_arrays() -> None:
    gray = COLORS[..., 0]
    np.testing.assert_array_equal(images.from_array(gray), np.stack([gray] * 3, axis=2))
    np.testing.assert_array_equal(images.from_array(gray[..., None]), np.stack([gray] * 3, axis=2))
    np.testing.assert_array_equal(images.from_array(np.dstack([COLORS, gray])), COLORS)


@given(arrays(np.uint8, (6, 8, 3)), st.permutations([0, 1]), st.tuples(*[st.sampled_from([1, 2, -1, -3])] * 3))
def test_any_strides_give_contiguous_pixels(
    whole: NDArray[np.uint8], order: list[int], steps: tuple[int, int, int]
) -> None:
    whole.flags.writeable = False
    view = whole.transpose(*order, 2)[:: steps[0], :: steps[1], :: steps[2] // abs(steps[2])]
    found = images.convert(view)
    np.testing.assert_array_equal(found, view)
    assert found.flags.c_contiguous


def test_a_pillow_image_is_turned_as_exif_says_and_stays_as_it_is(tmp_path: Path) -> None:
    picture = Image.fromarray(COLORS)
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        np.testing.assert_array_equal(images.convert(opened), np.rot90(COLORS, -1))
        assert (opened.size, opened.getexif()[0x0112]) == ((3, 2), 6)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "I;16"])
def test_pillow_images_of_every_mode(mode: str) -> None:
    white = Image.new("L", (3, 2), 255).convert("RGB").convert(mode if mode != "I;16" else "I")
    np.testing.assert_array_equal(images.convert(white.convert(mode)), np.full((2, 3, 3), 255))


@pytest.mark.parametrize("mode", ["F", "LAB"])
def test_pillow_images_of_odd_modes_are_refused(mode: str) -> None:
    with pytest.raises(InputError, match=f"the PIL image has color mode {mode}: convert it"):
        images.convert(Image.new(mode, (3, 2)))


def test_a_pillow_image_of_a_damaged_file_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:6000])
    with Image.open(tmp_path / "cut.png") as opened, pytest.raises(InputError, match="the PIL image is damaged"):
        images.convert(opened)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (COLORS.astype(np.uint16), "is a uint16 array, expected .*: scale it to 0 to 255 and convert it to uint8"),
        (COLORS > 9, "is a bool array"),
        (COLORS.astype(object), "is a object array"),
        (COLORS / 255, "is a float64 array, expected .*: multiply it by 255 and convert it to uint8"),
        (COLORS.astype(np.float32), "is a float32 array, expected .*: convert it to uint8, 0 to 255"),
        (np.zeros((0, 5, 3), np.uint8), r"shape \(0, 5, 3\), expected \(height, width, 3\): it has no pixels"),
        (np.zeros((5, 6, 2), np.uint8), r"shape \(5, 6, 2\), .*: give RGB, RGBA or gray"),
        (np.zeros((3, 4, 5), np.uint8), r"shape \(3, 4, 5\), .*: its channels come first, transpose it by \(1, 2, 0\)"),
        (np.zeros((1, 4, 5, 3), np.uint8), r"shape \(1, 4, 5, 3\), .*: give a batch as a list of images"),
        (np.uint8(7), r"shape \(\)"),
        (OnAnotherDevice(), r"TypeError: can't convert cuda:0 .* first\): convert it to a NumPy array of uint8 first"),
        (Liar(), "is damaged or not an array in host memory"),
        (COLORS.tolist(), "is a list, expected a path, a PIL image, or an array of uint8, RGB, .*, or a list of these"),
        (None, "is a NoneType, expected a path"),
        (b"\x89PNG", "is a bytes, expected a path"),
        (7, "is a int, expected a path"),
        ({}, "is a dict, expected a path"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(image: object, message: str) -> None:
    with pytest.raises(InputError, match=f"^the image .*{message}") as caught:
        images.convert(image)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(100_000, 100_000, 3), (100_000, 100_000), (20_000, 5_001, 1)])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_a_view_of_few_bytes_takes_no_memory(shape: tuple[int, ...], kind: type) -> None:
    size = f"{shape[0]}x{shape[1]}"
    with pytest.raises(InputError, match=f"^the image claims {size}, more than 100000000 pixels, the limit: scale it"):
        images.convert(np.broadcast_to(np.zeros(1, kind), shape))


def test_tensors_of_pytorch_in_host_memory_and_no_others() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(COLORS.copy())
    assert np.shares_memory(images.convert(tensor), tensor.numpy())
    np.testing.assert_array_equal(images.convert(tensor.flip(0)), COLORS[::-1])
    for odd in (tensor.to_sparse(), tensor.to("meta"), torch.zeros(2, 3, 3, requires_grad=True)):
        with pytest.raises(
            InputError, match=r"the image is damaged or not an array in host memory .*: convert it to a"
        ):
            images.convert(odd)
    with pytest.raises(InputError, match="is a float32 array"):
        images.convert(torch.zeros(3, 4, 5))
