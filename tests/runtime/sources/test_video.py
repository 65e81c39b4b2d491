"""Of a damaged video every frame that can be decoded comes, and then word of those that did not."""

from __future__ import annotations

import math
import struct
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pem_edge.runtime import sources
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.sources.recordings import captures
from pem_edge.runtime.sources.recordings.tally import Tally
from tests.runtime.helpers.footage import image, write_video

pytestmark = pytest.mark.usefixtures("library")
VIDEOS = Path(__file__).parents[2] / "data" / "videos"


def outcome(path: Path) -> tuple[int, str]:
    """Return how many frames came, and what was said at the end."""
    count = 0
    try:
        for frame in sources.find(path):
            assert frame.read().shape == (64, 96, 3)
            count += 1
    except InputError as error:
        return count, str(error)
    return count, ""


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "mp4v"), ("avi", "MJPG"), ("mkv", "mp4v")])
def test_a_whole_video_says_nothing(tmp_path: Path, suffix: str, codec: str) -> None:
    assert outcome(write_video(tmp_path / f"clip.{suffix}", 60, codec)) == (60, "")


@pytest.mark.parametrize(("suffix", "codec"), [("avi", "MJPG"), ("mkv", "mp4v")])
def test_a_video_that_was_cut_off(tmp_path: Path, suffix: str, codec: str) -> None:
    path = write_video(tmp_path / f"clip.{suffix}", 60, codec, noise=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    count, said = outcome(path)
    assert 10 <= count <= 45
    assert f"{path} ended early, after {count} of 60 frames" in said


def test_a_cut_off_mp4_has_lost_its_index(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", 60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="is not a video that can be decoded"):
        sources.find(path)


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "mp4v"), ("mkv", "mp4v")])
def test_damage_in_the_middle_is_left_out_and_told(tmp_path: Path, suffix: str, codec: str) -> None:
    path = write_video(tmp_path / f"clip.{suffix}", 60, codec, noise=True)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 6000] = bytes(6000)
    path.write_bytes(data)
    count, said = outcome(path)
    assert 40 < count < 60
    missing = 60 - count
    assert f"{path} has {missing} damaged frame{'' if missing == 1 else 's, which are'}" in said


def tally(milliseconds: list[float], claimed: int | None, fps: float = 25) -> str | None:
    kept = Tally(fps, claimed)
    for time in milliseconds:
        kept.add(time, damaged=0)
    return kept.describe_loss()


@given(st.integers(1, 400), st.integers(-3, 3))
def test_containers_may_lie_by_a_few_frames(count: int, lie: int) -> None:
    assert tally([40.0 * index for index in range(count)], count + lie) is None


@given(st.lists(st.floats(1, 400), min_size=10, max_size=100))
def test_a_rate_that_varies_is_no_damage(steps: list[float]) -> None:
    times = np.cumsum(steps)
    claimed = int((times[-1] + 40) / 40)  # what OpenCV makes of the length where a container counts no frames
    assert tally(list(times), claimed) is None or np.isclose(steps, 40, rtol=0.1).mean() > 0.9


def test_gaps_in_a_steady_video_are_damage() -> None:
    times = [40.0 * index for index in range(300) if index not in (100, 101, 200)]
    assert tally(times, 300) == "has 3 damaged frames, which are left out"
    assert tally(times, 297) is None, "the file never had them"


def test_without_a_claim_there_is_no_complaint() -> None:
    assert tally([40.0 * index for index in range(10)], None) is None
    assert tally([], 100) is None


def test_times_are_those_of_the_container() -> None:
    expected = [index / 30 for index in range(30)] + [1 + index / 5 for index in range(10)]
    for name in ("vfr.mkv", "vfr.mp4"):
        assert [frame.time for frame in sources.find(VIDEOS / name)] == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize(("name", "size"), [("wide.mp4", (64, 128)), ("tall.mkv", (128, 64))])
def test_pixels_that_are_not_square_are_scaled_to_be(name: str, size: tuple[int, int]) -> None:
    assert [frame.read().shape for frame in sources.find(VIDEOS / name)] == [(*size, 3)] * 3


def turned(path: Path) -> bytes:
    """Return a video whose track's matrix says that it is to be turned by 90 degrees, as phones write it."""
    data = bytearray(path.read_bytes())
    matrix = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    start = data.index(matrix, data.index(b"tkhd"))
    data[start : start + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 64 << 16, 0, 1 << 30)
    return bytes(data)


def test_a_turned_video_comes_upright_with_square_pixels(tmp_path: Path) -> None:
    (tmp_path / "phone.mp4").write_bytes(turned(VIDEOS / "wide.mp4"))
    assert [frame.read().shape for frame in sources.find(tmp_path / "phone.mp4")] == [(128, 64, 3)] * 3
    plain = write_video(tmp_path / "plain.mp4", 2)
    plain.write_bytes(turned(plain))
    assert [frame.read().shape for frame in sources.find(plain)] == [(96, 64, 3)] * 2


def test_a_video_is_turned_to_the_side_that_it_says(tmp_path: Path) -> None:
    """By 90 degrees clockwise: what is left in the file is at the top."""
    path = tmp_path / "phone.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (96, 64))
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:, :48] = 255
    writer.write(picture)
    writer.release()
    path.write_bytes(turned(path))
    (frame,) = sources.find(path)
    rows = frame.read()[..., 0].mean(axis=1)
    assert rows[:40].min() > 200
    assert rows[-40:].max() < 50


@pytest.mark.parametrize("size", ["W12000 H10000", "W30000 H30000"])
def test_frames_beyond_the_limit_of_images(tmp_path: Path, size: str) -> None:
    path = tmp_path / "clip.y4m"
    path.write_bytes(f"YUV4MPEG2 {size} F25:1 Ip A1:1 C420jpeg\nFRAME\n".encode() + bytes(5000))
    with pytest.raises(InputError, match=r"claims 10000x12000, more than 100000000 pixels|is not a video"):
        sources.find(path)


def test_frames_whose_size_changes_come_at_the_first_ones(tmp_path: Path) -> None:
    sizes = [(64, 96), (64, 96), (128, 192), (40, 40)]
    jpegs = [cv2.imencode(".jpg", image(index, *size))[1].tobytes() for index, size in enumerate(sizes)]
    (tmp_path / "clip.mjpeg").write_bytes(b"".join(jpegs))
    assert [frame.read().shape[:2] for frame in sources.find(tmp_path / "clip.mjpeg")] == [(64, 96)] * 4


def test_a_container_that_claims_billions_of_frames(tmp_path: Path) -> None:
    """AVI's header counts frames and the index is left out: what is there comes, and the rest is told."""
    path = write_video(tmp_path / "clip.avi", 10, "MJPG")
    data = bytearray(path.read_bytes())
    for chunk, offset in ((b"avih", 24), (b"strh", 40)):
        start = data.index(chunk) + offset
        data[start : start + 4] = struct.pack("<I", 4_000_000_000)
    path.write_bytes(data)
    count, said = outcome(path)
    assert count == 10
    assert "ended early, after 10 of 4000000000 frames" in said


class Claims:
    """A capture that claims whatever it is told, and has no frames."""

    def __init__(self, value: float) -> None:
        self.value = value

    def get(self, _property: int) -> float:
        return self.value


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, -math.inf, -192153584101141.0])
def test_claims_that_make_no_sense_are_no_claims(value: float) -> None:
    assert captures.describe(Claims(value)) == (25.0, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "original", ["clip.3gp", "clip.flv", "clip.mts", "clip.h264", "clip.asf", "vfr.mkv", "wide.mp4"]
)
def test_damage_anywhere_is_an_error_of_ours_or_a_video(tmp_path: Path, original: str) -> None:
    whole = (VIDEOS / original).read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / original
    for _ in range(25):
        torn = bytearray(whole)
        for at in rng.integers(0, [min(400, len(torn)), len(torn), len(torn)]):
            torn[at] = rng.integers(256)
        path.write_bytes(torn)
        with suppress(InputError):
            assert all(frame.read().ndim == 3 for frame in sources.find(path))
