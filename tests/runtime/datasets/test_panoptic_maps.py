"""Panoptic maps are read as ids, whatever PNG holds them, and never as photographs; what cannot be read is said."""

from __future__ import annotations

import io
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from pem_edge.runtime.datasets import panoptic_maps
from pem_edge.runtime.datasets.opening import open_dataset
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.results import coco_format
from tests.runtime.helpers import coco_folder

IDS = np.array([[0, 1, 2], [2, 3, 3]], np.int32)
LISTED = {1, 2, 3, 9}
ORIENTATION = 0x0112  # tag of EXIF


def read(path: Path, listed: set[int] = LISTED, size: tuple[int, int] = (2, 3)) -> NDArray[np.int32]:
    found = panoptic_maps.read(path, size, listed, Path("val.json"))
    assert found.dtype == np.int32
    return found


def gray(ids: NDArray[np.int32]) -> Image.Image:
    return Image.fromarray(ids.astype(np.uint8))


def palette(ids: NDArray[np.int32], colors: list[int]) -> Image.Image:
    image = Image.fromarray(ids.astype(np.uint8), "P")
    image.putpalette(colors)
    return image


def with_alpha(alpha: int) -> Image.Image:
    return Image.fromarray(np.dstack([coco_format.encode(IDS), np.full(IDS.shape, alpha, np.uint8)]))


def gray_with_alpha() -> Image.Image:
    return Image.merge("LA", [gray(IDS), gray(255 - IDS)])


ACCEPTED: dict[str, Callable[[], Image.Image]] = {
    "RGB": lambda: Image.fromarray(coco_format.encode(IDS)),
    "RGBA": lambda: with_alpha(255),
    "RGBA, transparent": lambda: with_alpha(0),
    "gray": lambda: gray(IDS),
    "gray with transparency": gray_with_alpha,
    "gray, 16 bits": lambda: Image.fromarray(IDS.astype(np.uint16)),
    "palette of colors to look at": lambda: palette(IDS, [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]),
    "palette of black": lambda: palette(IDS, [0] * 12),
    "palette that an optimizer made of RGB": lambda: palette(3 - IDS, [3, 0, 0, 2, 0, 0, 1, 0, 0, 0, 0, 0]),
}


@pytest.mark.parametrize("kind", ACCEPTED)
def test_ids_are_read_from_every_kind_of_png(kind: str, tmp_path: Path) -> None:
    ACCEPTED[kind]().save(tmp_path / "map.png")
    np.testing.assert_array_equal(read(tmp_path / "map.png"), IDS)


@pytest.mark.parametrize(("depth", "row"), [(1, b"\x40"), (2, b"\x1b"), (4, b"\x01\x2f"), (8, b"\0\1\2\xff")])
@pytest.mark.parametrize("color_type", [0, 3])
def test_few_bits_are_not_stretched(depth: int, row: bytes, color_type: int, tmp_path: Path) -> None:
    """Pillow makes 255 of the highest value of gray."""
    colors = chunk(b"PLTE", bytes(range(200, 248))) if color_type == 3 and depth < 8 else b""
    colors = colors or (chunk(b"PLTE", bytes(768)) if color_type == 3 else b"")
    write_png(tmp_path / "map.png", 4, depth, color_type, row, colors)
    expected = {1: [0, 1, 0, 0], 2: [0, 1, 2, 3], 4: [0, 1, 2, 15], 8: [0, 1, 2, 255]}[depth]
    assert read(tmp_path / "map.png", set(range(1, 256)), (1, 4)).tolist() == [expected]


def test_gray_may_be_colors_too(tmp_path: Path) -> None:
    """An optimizer makes gray of RGB whose channels are equal."""
    gray(IDS).save(tmp_path / "map.png")
    listed = {0x010101, 0x020202, 0x030303}
    np.testing.assert_array_equal(read(tmp_path / "map.png", listed), IDS * 0x010101)


def test_ids_of_16_bits(tmp_path: Path) -> None:
    ids = np.array([[0, 300, 26001], [65535, 1, 300]], np.int32)
    Image.fromarray(ids.astype(np.uint16)).save(tmp_path / "map.png")
    np.testing.assert_array_equal(read(tmp_path / "map.png", {300, 26001, 65535, 1}), ids)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=arrays(np.int32, (3, 4), elements=st.integers(0, (1 << 24) - 1)), unused=st.sets(st.integers(1, 300)))
def test_what_is_written_in_cocos_format_reads_back(ids: NDArray[np.int32], unused: set[int], tmp_path: Path) -> None:
    Image.fromarray(coco_format.encode(ids)).save(tmp_path / "map.png")
    np.testing.assert_array_equal(read(tmp_path / "map.png", set(ids.ravel().tolist()) | unused, (3, 4)), ids)


def test_maps_are_turned_as_their_exif_orientation_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # stored a quarter turn to the left
    for image in (Image.fromarray(coco_format.encode(IDS)), Image.fromarray(IDS.astype(np.uint16))):
        image.save(tmp_path / "map.png", exif=exif)
        np.testing.assert_array_equal(read(tmp_path / "map.png", size=(3, 2)), np.rot90(IDS, -1))


def test_a_photograph_that_is_turned_needs_a_map_that_is(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    folder = coco_folder.write(tmp_path, 1)
    Image.fromarray(coco_folder.stripes()[0]).save(folder / "images" / "0.png", exif=exif)
    with pytest.raises(
        InputError, match=r"0\.png is 64x96 and its image 96x64, .*: turn it as the EXIF orientation of"
    ):
        open_dataset(str(folder))[0]


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "JPEG": (
        lambda path: Image.fromarray(coco_format.encode(IDS)).save(path, "JPEG"),
        "is a JPEG, which changes colors and so ids; expected a panoptic map, an RGB PNG of 8 bits",
    ),
    "WebP": (lambda path: Image.fromarray(coco_format.encode(IDS)).save(path, "WEBP"), "is a WEBP, which changes"),
    "TIFF": (lambda path: Image.fromarray(IDS.astype(np.uint16)).save(path, "TIFF"), "is a TIFF; expected"),
    "GIF": (lambda path: palette(IDS, [0] * 12).save(path, "GIF"), "is a GIF; expected"),
    "RGB, 16 bits": (
        lambda path: write_png(path, 3, 16, 2, bytes(18), rows=2),
        "is a PNG of 16 bits a color, expected",
    ),
    "RGBA, 16 bits": (lambda path: write_png(path, 3, 16, 6, bytes(24), rows=2), "is a PNG of 16 bits a color"),
    "gray with transparency, 16 bits": (lambda path: write_png(path, 3, 16, 4, bytes(12), rows=2), "16 bits a color"),
    "a color not listed": (
        lambda path: Image.fromarray(coco_format.encode(IDS * 0x010203)).save(path),
        r"has the color \(3, 2, 1\), id 66051, which is none of its 4 segments in val\.json: list it there, or make",
    ),
    "a value not listed": (
        lambda path: gray(IDS + 3).save(path),
        r"has the value 4, which is none of its 4 segments in val\.json: its colors are no ids, either; write id = R",
    ),
    "a value of 16 bits not listed": (
        lambda path: Image.fromarray((IDS * 257).astype(np.uint16)).save(path),
        r"has the value 257, which is none",
    ),
    "a value without a color": (
        lambda path: write_png(path, 3, 8, 3, b"\0\1\7", chunk(b"PLTE", bytes([0, 0, 0, 1, 0, 0])), rows=2),
        "has the value 7, which is none",
    ),
    "another size": (lambda path: gray(IDS[:, :2]).save(path), "is 2x2 and its image 2x3, expected the same size"),
    "no image": (lambda path: path.write_text("ids"), "is not a panoptic map, an RGB PNG of 8 bits, or is cut off"),
    "empty": (lambda path: path.touch(), "has 0 bytes, expected a panoptic map"),
    "missing": (lambda path: path.unlink(missing_ok=True), "does not exist, expected a panoptic map"),
    "a folder": (lambda path: path.mkdir(), "is not a file"),
    "cut off": (lambda path: path.write_bytes(encoded(gray(IDS))[:50]), "is damaged or not a panoptic map"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_holds_no_ids_for_certain_is_refused(kind: str, tmp_path: Path) -> None:
    write, message = REFUSED[kind]
    write(tmp_path / "map.png")
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path / "map.png")
    assert str(tmp_path / "map.png") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_size_that_is_claimed_takes_no_memory(tmp_path: Path) -> None:
    """A map of 100 bytes that claims to be as large as a PNG can be, for an image of six pixels."""
    for width in (20_000, 2**31 - 1):
        write_png(tmp_path / "map.png", width, 8, 2, bytes(18), height=width)
        code = (
            "from pathlib import Path; from pem_edge.runtime.datasets import panoptic_maps\n"
            f"panoptic_maps.read(Path({str(tmp_path / 'map.png')!r}), (2, 3), {{1}}, Path('val.json'))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, preexec_fn=_limit_memory
        )
        assert "InputError" in done.stderr.splitlines()[-1]
        assert "map.png claims more than 100000000 pixels, the limit: scale it down" in done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has 0 bytes, expected a panoptic map, an RGB PNG of 8 bits: write it again"),
        (b"nonsense", "is not a panoptic map, an RGB PNG of 8 bits, or is cut off at its start: write it again"),
    ],
)
def test_what_is_no_picture_is_said_without_names_of_python(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "map.png").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(tmp_path / "map.png")
    assert str(caught.value) == f"{tmp_path / 'map.png'} {message}"


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 90), value=st.integers(0, 255), kind=st.sampled_from(sorted(ACCEPTED)))
def test_a_changed_byte_is_an_error_of_one_line_or_harmless(place: int, value: int, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "map.png"
    ACCEPTED[kind]().save(path)
    data = bytearray(path.read_bytes())
    data[place % len(data)] = value
    path.write_bytes(data)
    ids, message = set[int](), ""
    try:
        ids = set(read(path).ravel().tolist())
    except InputError as error:
        message = str(error)
    assert ids <= LISTED | {0}
    assert "\n" not in message


def test_the_gray_maps_of_a_dataset_score_as_its_colors_do(tmp_path: Path) -> None:
    folder = coco_folder.write(tmp_path, 1, lambda document: document["annotations"][0].update(segments_info=SEGMENTS))
    ids = np.where(coco_folder.stripes()[1] == 70000, 7000, coco_folder.stripes()[1])
    Image.fromarray(ids.astype(np.uint16)).save(folder / "panoptic" / "0.png")
    np.testing.assert_array_equal(open_dataset(str(folder))[0].panoptic, ids)


SEGMENTS = [{"id": id_, "category_id": 9} for id_ in (7000, 300, 5)]


def encoded(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def write_png(
    path: Path,
    width: int,
    depth: int,
    color_type: int,
    row: bytes,
    extra: bytes = b"",
    *,
    rows: int = 1,
    height: int = 0,
) -> None:
    """Write a PNG of equal rows, which Pillow could not write. ``height`` is what it claims, if not ``rows``."""
    header = struct.pack(">IIBBBBB", width, height or rows, depth, color_type, 0, 0, 0)
    pixels = zlib.compress((b"\0" + row) * rows)
    parts = (chunk(b"IHDR", header), extra, chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
