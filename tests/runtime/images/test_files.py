"""Images of every kind become RGB uint8; whatever is not an image is refused in one line."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pem_edge.runtime import images
from pem_edge.runtime.errors import InputError

ROOT = Path(__file__).parents[3]
VIDEOS = ROOT / "tests" / "data" / "videos"
COLORS = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[10, 20, 30], [40, 50, 60], [70, 80, 90]]], np.uint8)


def claimed_png(width: int, height: int) -> bytes:
    """Return an RGB PNG of that size by its header, with next to no data."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(10))), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".ppm", ".tiff", ".webp"])
def test_lossless_formats_come_back_exactly(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"colors{suffix}"
    Image.fromarray(COLORS).save(path, lossless=True)
    np.testing.assert_array_equal(images.read(path), COLORS)


def test_jpeg_decodes_as_opencv_decodes_it(tmp_path: Path) -> None:
    path = tmp_path / "ramp.jpg"
    ramp = np.linspace(0, 255, 64 * 48 * 3).reshape(48, 64, 3).astype(np.uint8)
    Image.fromarray(ramp).save(path, quality=90)
    expected = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert expected is not None
    np.testing.assert_allclose(images.read(path).astype(int), expected[..., ::-1].astype(int), atol=2)


def test_one_pixel(tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    Image.fromarray(COLORS[:1, :1]).save(path)
    np.testing.assert_array_equal(images.read(path), [[[255, 0, 0]]])


def test_gray_becomes_three_equal_channels(tmp_path: Path) -> None:
    path = tmp_path / "gray.png"
    Image.fromarray(COLORS[..., 0]).save(path)
    np.testing.assert_array_equal(images.read(path), np.repeat(COLORS[..., :1], 3, axis=2))


def test_transparency_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "rgba.png"
    alpha = np.array([[0, 128, 255], [1, 2, 3]], np.uint8)[..., None]
    Image.fromarray(np.concatenate([COLORS, alpha], axis=2)).save(path)
    np.testing.assert_array_equal(images.read(path), COLORS)


def test_palette_and_bilevel(tmp_path: Path) -> None:
    Image.fromarray(COLORS).quantize(8).save(tmp_path / "palette.png")
    np.testing.assert_array_equal(images.read(tmp_path / "palette.png"), COLORS)
    Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1").save(tmp_path / "bilevel.png")
    np.testing.assert_array_equal(images.read(tmp_path / "bilevel.png"), [[[0, 0, 0], [255, 255, 255]]])


def test_sixteen_bits_keep_their_high_byte(tmp_path: Path) -> None:
    gray = np.array([[0, 255, 256, 0x8012, 65535]], np.uint16)
    assert cv2.imwrite(str(tmp_path / "gray.png"), gray)
    np.testing.assert_array_equal(images.read(tmp_path / "gray.png")[0, :, 0], [0, 0, 1, 128, 255])
    bgr = np.array([[[0x0100, 0x7FFF, 0xFFFF]]], np.uint16)
    assert cv2.imwrite(str(tmp_path / "color.png"), bgr)
    np.testing.assert_array_equal(images.read(tmp_path / "color.png"), [[[255, 127, 1]]])


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_fewer_bits_in_a_file_of_sixteen_fill_the_range(tmp_path: Path, bits: int, suffix: str) -> None:
    """Cameras of 12 bits leave the upper four empty, and the picture would be nearly black."""
    most = (1 << bits) - 1
    gray = np.array([[0, most // 2, most]], np.uint16)
    assert cv2.imwrite(str(tmp_path / f"gray{suffix}"), gray)
    np.testing.assert_array_equal(images.read(tmp_path / f"gray{suffix}")[0, :, 0], [0, 127, 255])
    assert cv2.imwrite(str(tmp_path / f"color{suffix}"), np.array([[[0, most // 2, most]]], np.uint16))
    np.testing.assert_array_equal(images.read(tmp_path / f"color{suffix}"), [[[255, 127, 0]]])


def test_a_dark_picture_of_eight_bits_stays_dark(tmp_path: Path) -> None:
    Image.fromarray(COLORS // 16).save(tmp_path / "dark.png")
    np.testing.assert_array_equal(images.read(tmp_path / "dark.png"), COLORS // 16)


def test_deep_colors_are_turned_as_exif_says(tmp_path: Path) -> None:
    deep = np.arange(6, dtype=np.uint16).reshape(2, 3, 1).repeat(3, 2) * 800
    encoded = cv2.imencode(".png", deep)[1].tobytes()
    exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # orientation 6
    chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    (tmp_path / "deep.png").write_bytes(encoded[:33] + chunk + encoded[33:])
    np.testing.assert_array_equal(images.read(tmp_path / "deep.png"), np.rot90(deep >> 4, -1))


def test_lengths_in_a_deep_picture_are_not_believed(tmp_path: Path) -> None:
    """OpenCV, which gives the low bytes, would take 4 GB for a chunk that claims them."""
    encoded = cv2.imencode(".png", np.full((4, 6, 3), 800, np.uint16))[1].tobytes()
    data = encoded.index(b"IDAT") - 4
    (tmp_path / "claims.png").write_bytes(encoded[:data] + b"\xff" + encoded[data + 1 :])
    code = """
import sys
from pathlib import Path
from pem_edge.runtime import images
from pem_edge.runtime.benchmark.measures.memory import peak_resident
print(images.read(Path(sys.argv[1])).shape)
print(peak_resident() < 1_000_000_000)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "claims.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("(4, 6, 3)\nTrue\n", "")


@pytest.mark.parametrize("value", [-1, 65536])
def test_values_beyond_sixteen_bits_are_refused(tmp_path: Path, value: int) -> None:
    Image.fromarray(np.array([[0, value]], np.int32)).save(tmp_path / "map.tiff")
    with pytest.raises(InputError, match=rf"map.tiff has values from .*{value}.*, expected 0 to 65535: convert it"):
        images.read(tmp_path / "map.tiff")


@pytest.mark.parametrize("suffix", [".gif", ".tiff", ".webp"])
def test_of_several_frames_the_first_is_read(tmp_path: Path, suffix: str) -> None:
    first, second = (Image.new("RGB", (8, 6), color) for color in ("red", "blue"))
    first.save(tmp_path / f"two{suffix}", save_all=True, append_images=[second], lossless=True)
    np.testing.assert_array_equal(images.read(tmp_path / f"two{suffix}"), np.full((6, 8, 3), (255, 0, 0)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_like_pillow(tmp_path: Path, orientation: int) -> None:
    picture = Image.fromarray(COLORS)
    exif = picture.getexif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "turned.png", exif=exif)
    expected = ImageOps.exif_transpose(Image.open(tmp_path / "turned.png"))
    np.testing.assert_array_equal(images.read(tmp_path / "turned.png"), np.asarray(expected))


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    picture = Image.fromarray(COLORS)
    exif = picture.getexif()
    exif[0x0112] = 6  # stored turned 90 degrees counterclockwise
    picture.save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(images.read(tmp_path / "turned.png"), np.rot90(COLORS, -1))


def test_damaged_exif_does_not_cost_the_picture(tmp_path: Path) -> None:
    Image.fromarray(COLORS).save(tmp_path / "exif.png", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    np.testing.assert_array_equal(images.read(tmp_path / "exif.png"), COLORS)


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", ".bmp"])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_truncated_pictures_are_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"whole{suffix}"
    Image.fromarray(noise(64, 64)).save(path)
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match=r"is damaged or not an? ") as caught:
        images.read(cut)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has 0 bytes"),
        (b"not a picture at all, whatever its name says", "is not an image"),
        (b"\xff\xd8\xff\xe0" + bytes(64), "is damaged|is not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "is not an image"),
        (claimed_png(20000, 20000), "more than 100000000 pixels"),
        (claimed_png(9500, 11000), "more than 100000000 pixels"),
        (claimed_png(100, 100), "is damaged or not a"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "claims.jpg"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        images.read(path)


def test_limits_are_inclusive(tmp_path: Path) -> None:
    path = tmp_path / "six.png"
    Image.fromarray(COLORS).save(path)
    size = path.stat().st_size
    images.read(path, max_pixels=6, max_bytes=size)
    with pytest.raises(InputError, match="claims 2x3, more than 5 pixels"):
        images.read(path, max_pixels=5)
    with pytest.raises(InputError, match=f"has {size} bytes, more than the {size - 1} of an image"):
        images.read(path, max_bytes=size - 1)


def test_missing_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        images.read(tmp_path / "none.jpg")
    with pytest.raises(InputError, match="is not a file"):
        images.read(tmp_path)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_torn_picture_is_to_be_fetched_again(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"torn{suffix}"
    Image.fromarray(noise(200, 300)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"is damaged or not a whole image .*: download or copy it again$"):
        images.read(path)


@pytest.mark.parametrize(
    "content",
    [b"<!doctype HTML>", b"\xef\xbb\xbf\r\n<html lang='en'>", b"<!-- cached --><HTML><body>"],
)
def test_a_web_page_is_named_as_such(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "photo.jpg").write_bytes(content)
    for image in (tmp_path / "photo.jpg", content):
        with pytest.raises(
            InputError, match=r" is a web page \(HTML\), expected an image .*: download the file itself"
        ):
            images.convert(image)


@pytest.mark.parametrize("path", [*sorted(VIDEOS.glob("*.m[pk][4v]")), VIDEOS / "clip.flv"], ids=lambda path: path.name)
def test_a_video_is_pointed_to_streams(path: Path) -> None:
    for image in (path, path.read_bytes()):
        with pytest.raises(
            InputError, match=r" is a video, .*: name it \.mp4 or the like, and give it to Segmenter\.str"
        ):
            images.convert(image)


@pytest.mark.parametrize("brand", [b"heic", b"heis", b"crx ", b"hevc", b"msf1", b"avis"])
def test_a_picture_in_the_format_of_videos_is_no_video(brand: bytes) -> None:
    with pytest.raises(InputError, match=r" is a HEIC, AVIF or CR3 image, expected .*: convert it to \.jpg$"):
        images.convert(b"\0\0\0\x18ftyp" + brand + bytes(40))


def test_float_pictures_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "float.tiff"
    Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32)).save(path)
    with pytest.raises(InputError, match="color mode F"):
        images.read(path)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".gif", ".ppm"])
def test_damage_anywhere_is_an_error_of_ours_or_a_picture(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"torn{suffix}"
    Image.fromarray(noise(20, 30)).save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(200):
        torn = bytearray(whole)
        for at in rng.integers(0, [min(60, len(torn)), len(torn)]):
            torn[at] = rng.integers(256)
        path.write_bytes(torn)
        with suppress(InputError):
            picture = images.read(path)
            assert (picture.dtype, picture.ndim, picture.shape[2]) == (np.dtype(np.uint8), 3, 3)
