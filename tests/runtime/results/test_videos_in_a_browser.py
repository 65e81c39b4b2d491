"""Videos that were written play in a browser, as long and as large as their source."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from pem_edge import runtime
from pem_edge.runtime.results.saving import Outputs
from pem_edge.runtime.results.video_file import VideoFile
from pem_edge.runtime.sources import Video, find
from tests.helpers import browser
from tests.runtime.helpers.footage import image, write_video

pytestmark = pytest.mark.skipif(browser.missing() is not None, reason=f"no browser: {browser.missing()}")

VIDEOS = Path(__file__).parents[2] / "data" / "videos"

_PLAY = """
const [address, time, done] = arguments;
const video = document.createElement("video");
video.muted = true;
video.onerror = () => done({error: video.error.message});
video.onloadeddata = () => { video.currentTime = time; };
const look = () => {
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0);
    const pixel = Array.from(context.getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data);
    if (pixel[3] == 0) {  // nothing was drawn, as the frame is not there yet
        setTimeout(look, 20);
        return;
    }
    done({
        width: video.videoWidth, height: video.videoHeight, duration: video.duration, color: pixel.slice(0, 3),
    });
};
video.onseeked = look;
video.src = address;
"""


def played(path: Path, time: float) -> dict[str, Any]:
    """Return what a browser says of a video, and the color in the middle of the frame at ``time``."""
    page = path.with_suffix(".html")
    page.write_text("<!doctype html>")
    with browser.Browser() as chromium:
        opened = chromium.open(page)
        # a canvas gives no pixels of another origin, which every file is
        data = f"data:video/mp4;base64,{base64.b64encode(path.read_bytes()).decode()}"
        found: dict[str, Any] = opened.driver.execute_async_script(_PLAY, data, time)
    return found


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (720, 1280)])
def test_size_duration_and_colors(tmp_path: Path, size: tuple[int, int]) -> None:
    pytest.importorskip("av", reason="PyAV is not installed")
    file = VideoFile(tmp_path / "clip.mp4", 10)
    for index in range(12):
        file.write(image(index, *size))
    file.close()
    found = played(file.path, 0.55)
    assert (found["height"], found["width"]) == (size[0] // 2 * 2, size[1] // 2 * 2)
    assert found["duration"] == pytest.approx(1.2, abs=0.01)
    assert found["color"] == pytest.approx(image(5)[0, 0].tolist(), abs=8)


def test_frames_of_varying_rate_are_shown_when_they_are_due(tmp_path: Path) -> None:
    """They come at 30 a second for one second, and at 5 a second until 3 s."""
    pytest.importorskip("av", reason="PyAV is not installed")
    file = VideoFile(tmp_path / "clip.mp4", 5)
    times = [index / 30 for index in range(30)] + [1 + index / 5 for index in range(10)]
    for index, time in enumerate(times):
        file.write(image(index), time)
    file.close()
    for shown, index in ((0.55, 16), (1.3, 31), (2.5, 37)):
        found = played(file.path, shown)
        assert found["duration"] == pytest.approx(3.0, abs=0.01)
        assert found["color"] == pytest.approx(image(index)[0, 0].tolist(), abs=8)


@pytest.mark.parametrize("name", ["vfr.mkv", "vfr.mp4", "clip.mp4"])
def test_an_overlay_lasts_as_long_as_its_source(tiny: Path, tmp_path: Path, name: str) -> None:
    """The frames of vfr come at 30 a second for one second, and at 5 a second until 3 s."""
    pytest.importorskip("av", reason="PyAV is not installed")
    source = write_video(tmp_path / name, 20) if name == "clip.mp4" else VIDEOS / name
    expected, step = (2.0, 0.1) if name == "clip.mp4" else (3.0, 0.2)
    video = find(source)
    assert isinstance(video, Video)
    with runtime.load(tiny) as segmenter, Outputs(["overlay"], tmp_path, video) as outputs:
        for result in segmenter.stream(video):
            outputs.save(result)
    found = played(tmp_path / f"{source.stem}_overlay.mp4", 0.0)
    assert found["duration"] == pytest.approx(expected, abs=step + 0.001)
    assert found["width"] == 64 if name.startswith("vfr") else 96
