"""What a run keeps: drawings of live sources as long as they were the newest, and descriptions that can be read."""

from __future__ import annotations

import json
import time
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
from tests.runtime.helpers.footage import Made, image


@pytest.fixture
def result(tiny: Path, flag: NDArray[np.uint8]) -> runtime.Result:
    return replace(runtime.load(tiny)(flag), name="000000")


def frames_in(video: Path) -> int:
    return round(cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT))


@pytest.mark.parametrize(("live", "seconds", "frames"), [(False, 3.0, 2), (True, 1.0, 26), (True, 100.0, 51)])
def test_a_live_sources_video_keeps_up_with_the_clock(
    tmp_path: Path, result: runtime.Result, monkeypatch: pytest.MonkeyPatch, live: bool, seconds: float, frames: int
) -> None:
    """25 frames a second; a gap of more than 2 s is cut to that."""
    now = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Outputs(["overlay"], tmp_path, Made(image, live=live)) as outputs:
        outputs.save(result)
        now[0] += seconds
        outputs.save(result)
    assert frames_in(tmp_path / "made_overlay.mp4") == frames


def test_after_a_gap_that_was_cut_the_clock_goes_on(
    tmp_path: Path, result: runtime.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Outputs(["overlay"], tmp_path, Made(image, live=True)) as outputs:
        for gap in (0.0, 100.0, 0.2, 0.2):
            now[0] += gap
            outputs.save(result)
    assert frames_in(tmp_path / "made_overlay.mp4") in range(60, 63)


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
