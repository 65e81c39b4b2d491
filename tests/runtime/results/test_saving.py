"""What a run keeps: drawings of live sources as long as they were the newest, and descriptions that can be read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pem_edge import runtime
from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.errors import OutputError
from pem_edge.runtime.results.saving import Outputs
from pem_edge.runtime.sources import Pictures
from tests.runtime.helpers.footage import Made, image


@pytest.fixture
def result(tiny: Path, flag: NDArray[np.uint8]) -> runtime.Result:
    return replace(runtime.load(tiny)(flag), name="000000")


def frames_in(video: Path) -> int:
    return round(cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT))


TIMES_AND_FRAMES = pytest.mark.parametrize(
    ("live", "times", "frames"),
    [
        (False, [None, None], 2),
        (False, [5.0, 8.0], 76),
        (False, [0.0, 0.04, 0.08, 0.12], 4),
        (False, [0.0, 0.01, 0.02, 0.12], 4),  # two of them too early to be shown
        (False, [0.0, 0.0, 0.0], 3),  # a container without timestamps
        (False, [90.0, 90.04, 0.0, 0.04], 4),  # a clock that starts again
        (False, [0.0, 95443.0], 15001),  # a timestamp that ran over
        (True, [7.0, 7.01, 7.02, 8.0], 26),
        (True, [7.0, 107.0], 51),
        (True, [7.0, 107.0, 107.2, 107.4], 61),
    ],
)


@TIMES_AND_FRAMES
@pytest.mark.parametrize("library", ["opencv"], indirect=True)
@pytest.mark.usefixtures("library")
def test_a_video_keeps_the_time_of_its_source(
    tmp_path: Path, result: runtime.Result, live: bool, times: list[float | None], frames: int
) -> None:
    """25 frames a second; a gap of more than 2 s of a live source, or of 10 minutes of a file, is cut to that."""
    with Outputs(["overlay"], tmp_path, Made(image, live=live)) as outputs:
        for time in times:
            outputs.save(replace(result, time=time))
    assert frames_in(tmp_path / "made_overlay.mp4") == frames


@TIMES_AND_FRAMES
@pytest.mark.parametrize("library", ["pyav"], indirect=True)
@pytest.mark.usefixtures("library")
def test_a_video_has_every_frame_at_its_own_time(
    tmp_path: Path, result: runtime.Result, live: bool, times: list[float | None], frames: int
) -> None:
    """It lasts until a frame after the last one, as the video of constant rate does."""
    with Outputs(["overlay"], tmp_path, Made(image, live=live)) as outputs:
        for time in times:
            outputs.save(replace(result, time=time))
    import av

    with av.open(str(tmp_path / "made_overlay.mp4")) as container:
        shown = [frame.time for frame in container.decode(video=0)]
        assert container.duration is not None
        assert container.duration / 1e6 == pytest.approx(frames / 25, abs=0.021)
    assert len(shown) == len(times)
    given = np.array(times, float)
    if (np.diff(given) > 0).all() and frames < 100:
        steps = np.minimum(np.diff(given), 2 if live else 600)
        assert np.diff(np.array(shown, float)) == pytest.approx(steps, abs=0.001)


@pytest.mark.parametrize("library", ["opencv"], indirect=True)
@pytest.mark.usefixtures("library")
def test_a_drawing_stays_until_the_next_is_due(tmp_path: Path, result: runtime.Result) -> None:
    """At 25 frames a second, red is shown for four and blue for one."""
    with Outputs(["overlay"], tmp_path, Made(image)) as outputs:
        for color, time in (((255, 0, 0), 0.0), ((0, 0, 255), 0.16)):
            picture = np.full((64, 96, 3), color, np.uint8)
            outputs.save(replace(result, image=picture, segments=[], time=time))
    capture = cv2.VideoCapture(str(tmp_path / "made_overlay.mp4"))
    shown = [int(capture.read()[1][32, 48].argmax()) for _ in range(5)]
    assert shown == [2, 2, 2, 2, 0]  # BGR


def test_the_description_is_cocos(tmp_path: Path, result: runtime.Result) -> None:
    with Outputs(["json"], tmp_path, Made(image)) as outputs:
        for index in range(3):
            outputs.save(replace(result, name=f"{index:06d}"))
    document = json.loads((tmp_path / "panoptic.json").read_bytes())
    assert [found["id"] for found in document["images"]] == ["000000", "000001", "000002"]
    assert len(document["annotations"][0]["segments_info"]) == len(result.segments) == 3
    assert [label.name for label in labels.load(str(tmp_path / "panoptic.json"))] == [one.name for one in result.labels]


def test_what_was_begun_is_finished_when_a_result_cannot_be_kept(
    tmp_path: Path, result: runtime.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save_until_the_disk_is_full() -> None:
        with Outputs(["overlay", "json", "panoptic"], tmp_path, Made(image)) as outputs:
            outputs.save(result)
            monkeypatch.setattr("shutil.disk_usage", lambda _folder: type("Usage", (), {"free": 1000}))
            outputs.save(replace(result, name="000001"))

    with pytest.raises(OutputError, match="too little to go on"):
        save_until_the_disk_is_full()
    assert frames_in(tmp_path / "made_overlay.mp4") == 1
    assert len(json.loads((tmp_path / "panoptic.json").read_bytes())["images"]) == 1


@pytest.mark.parametrize("fps", [0.01, 0.2, 12.5, 15.998, 29.97, 59.94, 240.0, 1000.0])
@pytest.mark.usefixtures("library")
def test_every_rate_of_a_source_gives_a_video(tmp_path: Path, result: runtime.Result, fps: float) -> None:
    source = Made(image)
    source.fps = fps
    with Outputs(["overlay"], tmp_path, source) as outputs:
        for seconds in range(3):
            outputs.save(replace(result, time=float(seconds)))
    capture = cv2.VideoCapture(str(tmp_path / "made_overlay.mp4"))
    step = 1 / min(max(fps, 1), 240)
    length = capture.get(cv2.CAP_PROP_FRAME_COUNT) / capture.get(cv2.CAP_PROP_FPS)
    assert length == pytest.approx(2 + step, abs=max(step, 0.01))


def test_names_of_any_bytes_are_written_as_text(tmp_path: Path, result: runtime.Result) -> None:
    source = Pictures([Path("in/caf\udce9.png"), Path("in/a\n.png"), Path("in") / f"{'b' * 251}.png"])
    with Outputs(["overlay", "panoptic", "json"], tmp_path / "out", source) as outputs:
        for path in source.paths:
            files = outputs.save(replace(result, name=str(path)))
            assert files["overlay"].exists()
    out = tmp_path / "out"
    document = json.loads((out / "panoptic.json").read_bytes())
    assert [found["file_name"] for found in document["images"]][:2] == ["caf\\udce9.png", "a\n.png"]
    names = [path.name for path in out.iterdir()]
    assert {found["file_name"] for found in document["annotations"]} <= set(names)
    assert all(name.isprintable() for name in names)
    assert len(names) == 7
