"""Raw frames come in whole ones, from files, FIFOs and standard input."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from pem_edge.runtime import sources
from pem_edge.runtime.errors import InputError
from tests.helpers.processes import started
from tests.runtime.helpers.footage import image

SIZE = (64, 96)
BYTES = 64 * 96 * 3


def written(path: Path, frames: int, extra: bytes = b"") -> Path:
    path.write_bytes(b"".join(image(index).tobytes() for index in range(frames)) + extra)
    return path


def test_frames_of_a_file(tmp_path: Path) -> None:
    source = sources.RawFrames(written(tmp_path / "clip.rgb", 5), SIZE)
    assert (source.stem, source.live) == ("clip", False)
    for _ in range(2):
        frames = list(source)
        assert [frame.name for frame in frames] == [f"{index:06d}" for index in range(5)]
        for index, frame in enumerate(frames):
            np.testing.assert_array_equal(frame.read(), image(index))


def test_bgr(tmp_path: Path) -> None:
    (frame,) = sources.RawFrames(written(tmp_path / "clip.bgr", 1), SIZE, "bgr24")
    np.testing.assert_array_equal(frame.read(), image(0)[..., ::-1])


def test_a_fifo_that_gives_bytes_in_small_pieces(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def write() -> None:
        with fifo.open("wb", buffering=0) as file:
            data = image(0).tobytes() + image(1).tobytes()
            for start in range(0, len(data), 5000):
                file.write(data[start : start + 5000])

    threading.Thread(target=write, daemon=True).start()
    for index, frame in enumerate(sources.RawFrames(fifo, SIZE)):
        np.testing.assert_array_equal(frame.read(), image(index))
    assert index == 1


@pytest.mark.parametrize("extra", [1, BYTES - 1])
def test_a_last_frame_that_is_cut_off(tmp_path: Path, extra: int) -> None:
    frames = iter(sources.RawFrames(written(tmp_path / "clip.rgb", 2, bytes(extra)), SIZE))
    assert [next(frames).name for _ in range(2)] == ["000000", "000001"]
    with pytest.raises(InputError, match=f"after 2 frames and {extra} of the next one's {BYTES} bytes.*not 64x96"):
        next(frames)


def test_nothing_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="after 0 frames and 0 of"):
        list(sources.RawFrames(written(tmp_path / "clip.rgb", 0), SIZE))


def test_standard_input() -> None:
    code = """
from pathlib import Path
from pem_edge.runtime import sources
print([frame.read()[0, 0].tolist() for frame in sources.RawFrames(Path("-"), (64, 96))])
"""
    data = b"".join(image(index).tobytes() for index in range(3))
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True, timeout=60)
    assert done.stdout.decode() == f"{[image(index)[0, 0].tolist() for index in range(3)]}\n"


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'yuv420p' is not a format of raw frames: choose rgb24 or bgr24"):
        sources.RawFrames(tmp_path, SIZE, "yuv420p")
    with pytest.raises(InputError, match="does not exist"):
        sources.RawFrames(tmp_path / "none", SIZE)
    with pytest.raises(InputError, match=r"cannot read .*: Is a directory"):
        list(sources.RawFrames(tmp_path, SIZE))
    for source in ("-", tmp_path / "fifo"):
        if source != "-":
            os.mkfifo(source)
        with pytest.raises(InputError, match="gives raw frames: give their size with --raw-size HxW"):
            sources.find(source)


@pytest.mark.parametrize("size", [(0, 96), (64, 0), (-64, 96), (64, -96)])
def test_sizes_without_pixels(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=r"the frames of .*clip.rgb cannot be .*: give a height and a width of 1 or"):
        sources.RawFrames(written(tmp_path / "clip.rgb", 1), size)


@pytest.mark.parametrize("size", [(999999, 999999), (10001, 10000), (10**30, 1)])
def test_sizes_beyond_the_limit_of_images(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=r"clip.rgb claims .*, more than 100000000 pixels, the limit"):
        sources.RawFrames(written(tmp_path / "clip.rgb", 1), size)


@pytest.mark.parametrize("name", ["a" * 256, "loop"])
def test_names_that_lead_nowhere(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(
        InputError, match=r"cannot read .*: File name too long|loop is behind too many levels of symbolic links"
    ):
        sources.RawFrames(tmp_path / name, SIZE)


@pytest.mark.parametrize(
    ("redirect", "message"), [("<&-", "standard input is closed"), ("</dev/null", "0 frames and 0")]
)
def test_standard_input_that_gives_nothing(redirect: str, message: str) -> None:
    code = (
        "from pathlib import Path; from pem_edge.runtime import sources; list(sources.RawFrames(Path('-'), (64, 96)))"
    )
    command = ["bash", "-c", f'exec "$0" -c "$1" {redirect}', sys.executable, code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]


def test_standard_input_that_does_not_wait() -> None:
    """Whoever shares it may have set it so; a read that finds nothing yet is no end."""
    code = """
import os
from pathlib import Path
from pem_edge.runtime import sources
os.set_blocking(0, False)
print("ready", flush=True)
print(len(list(sources.RawFrames(Path("-"), (64, 96)))))
"""
    command = [sys.executable, "-c", code]
    with started(command, stdin=subprocess.PIPE, text=False) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        for half in (image(0)[:32], image(0)[32:], image(1)):
            process.stdin.write(half.tobytes())
            process.stdin.flush()
        assert process.communicate(timeout=60)[0] == b"2\n"
