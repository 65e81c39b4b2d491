"""Of a damaged video every frame that can be decoded comes, and then word of those that did not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pem_edge.runtime import sources
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.sources.tally import Tally
from tests.runtime.helpers.footage import write_video


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
