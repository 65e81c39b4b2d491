"""Files, addresses, Pillow images and arrays of every library become RGB uint8; all else is refused in one line."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from pem_edge.runtime import images
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.images import conversion
from tests.runtime.helpers.image_server import response, serving

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


def encoded(kind: str = "PNG", pixels: NDArray[np.uint8] = COLORS) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def spooled(content: bytes) -> tempfile.SpooledTemporaryFile[bytes]:
    file = tempfile.SpooledTemporaryFile(10)  # noqa: SIM115  # as web frameworks hand uploads on
    file.write(content)
    file.seek(0)
    return file


@pytest.mark.parametrize("form", [bytes, bytearray, BytesIO, spooled])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_the_content_of_an_image_file_in_every_form(form: Callable[[bytes], object], kind: str) -> None:
    np.testing.assert_array_equal(images.convert(form(encoded(kind))), COLORS)


def test_an_open_file_is_read_from_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "two.png").write_bytes(b"head" + encoded())
    with (tmp_path / "two.png").open("rb", buffering=0) as file:
        file.seek(4)
        np.testing.assert_array_equal(images.convert(file), COLORS)
        assert images.name_of(file) == str(tmp_path / "two.png")
        with pytest.raises(InputError, match=r"two\.png has no bytes left, .*: go back to its start with seek\(0\)"):
            images.convert(file)


def test_content_is_decoded_as_a_file_is(tmp_path: Path) -> None:
    deep = np.arange(16, dtype=np.uint16).reshape(4, 4) * 64
    Image.fromarray(deep).save(tmp_path / "deep.png")
    expected = images.read(tmp_path / "deep.png")
    np.testing.assert_array_equal(images.convert((tmp_path / "deep.png").read_bytes()), expected)
    assert expected.max() > 200


def test_addresses_of_files_and_of_the_web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    path = tmp_path / "a stree\u00df#1.png"
    path.write_bytes(encoded())
    for address in (path.as_uri(), path.as_uri().replace("///", "//localhost/"), f"FILE://{path.as_uri()[7:]}"):
        np.testing.assert_array_equal(images.convert(address), COLORS)
    with serving(lambda _request, send: send(response(encoded()))) as server:
        address = f"{server}/street.png?key=secret"
        np.testing.assert_array_equal(images.convert(address), COLORS)
        assert images.name_of(address) == f"{server}/street.png"
    assert images.name_of("demo:street") == "street.jpg"


async def read_later(_size: int) -> bytes:
    return encoded()


def reader(read: Callable[[int], object]) -> object:
    return SimpleNamespace(read=read)


def closed() -> BytesIO:
    file = BytesIO(encoded())
    file.close()
    return file


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"", "the given content has 0 bytes, expected an image .*: give the bytes of an image file"),
        (b"street.png", "the given content is not an image .*: give the bytes of an image file"),
        (encoded()[:40], "the given content is"),
        (StringIO("text"), "the open file gives a str when it is read, expected bytes: open it with mode 'rb'"),
        (reader(read_later), "the open file is read asynchronously, .*: give what await file.read"),
        (reader(lambda _size: (True, COLORS)), "the open file gives a tuple when it is read"),
        (reader(lambda _size: None), "the open file gives None when it is read"),
        (reader(lambda _size: 1 / 0), "the open file is damaged or not a file open for reading bytes"),
        (closed(), "the open file is damaged or not .* closed file"),
        (BytesIO(b"x" * 100), "the open file is not an image"),
        ("s3://bucket/street.png?key=secret", "s3://bucket/street.png is not the address of an image"),
        ("rtsp://user:secret@camera/", "rtsp://camera/ is not .* Segmenter.stream"),
        ("file://server/share/street.png", "file://server/share/street.png is not the address of an image"),
        ("A" * 5000, "the path has 5000 characters, .*: give the content of a file as bytes"),
        ("data:image/png;base64," + "A" * 5000, "a data: URL has .*: give its bytes, base64.b64decode"),
        ("", "the path is empty"),
        (Image.new("RGB", (0, 5)), "the PIL image is 5x0, expected at least one pixel"),
        ("http://127.0.0.1:1/street.png?key=secret", "http://127.0.0.1:1/street.png is on a host that refuses"),
    ],
)
def test_content_and_addresses_that_give_no_image_are_refused_in_one_line(
    image: object, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(InputError, match=message) as caught:
        images.convert(image)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_gives_more_than_was_asked_for_is_not_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match="more than the 1000 bytes"):
        images.convert(reader(lambda _size: bytes(5000)))


def test_an_entry_of_a_folder_that_was_listed_in_bytes(tmp_path: Path) -> None:
    (tmp_path / "street.png").write_bytes(encoded())
    with os.scandir(bytes(tmp_path)) as entries:
        (entry,) = entries
    np.testing.assert_array_equal(images.convert(entry), COLORS)
    assert images.name_of(entry) == str(tmp_path / "street.png")


def test_an_open_file_without_an_end_is_not_read_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "MAX_BYTES", 1000)
    with (
        Path("/dev/zero").open("rb") as file,
        pytest.raises(InputError, match="/dev/zero has more than the 1000 bytes"),
    ):
        images.convert(file)


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
        (memoryview(encoded()), r"shape \(\d+,\), .*: give the content of an image file as bytes"),
        (np.full((5, 5, 3), np.nan), "is a float64 array, expected .*"),
        (OnAnotherDevice(), r"TypeError: can't convert cuda:0 .* first\): convert it to a NumPy array of uint8 first"),
        (Liar(), "is damaged or not an array in host memory"),
        (COLORS.tolist(), "is a list, expected a path, .*, or an array of uint8, RGB, .*, or a list of these"),
        (None, "is None, expected a path"),
        (7, "is an int, expected a path"),
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
