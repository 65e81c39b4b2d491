"""Drawings of a video have one size, and saved maps are a dataset that ``pem-eval`` scores."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pem_edge import runtime
from pem_edge.runtime.cli import eval as pem_eval
from pem_edge.runtime.cli import run as pem_run
from pem_edge.runtime.datasets.coco_panoptic import CocoPanoptic

RED, WHITE, BLUE = (0, 0, 255), (255, 255, 255), (255, 0, 0)  # BGR


@pytest.fixture
def folder(tmp_path: Path, flag: NDArray[np.uint8]) -> Path:
    """Return a folder with two flags."""
    made = tmp_path / "flags"
    made.mkdir()
    for name, image in (("a.png", flag), ("b.png", flag[:, ::-1])):
        Image.fromarray(image).save(made / name)
    return made


def test_saved_maps_are_a_dataset(tiny: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert pem_run.main([str(tiny), str(folder), "-o", str(out), "--save", "panoptic", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)["images"]
    dataset, segmenter = CocoPanoptic(out / "panoptic.json", folder, out), runtime.load(tiny)
    for index, record in enumerate(records):
        result, sample = segmenter(record["image"]), dataset[index]
        assert Path(sample.name) == Path(record["image"])
        assert [segment.id for segment in sample.segments] == [segment["id"] for segment in record["segments"]]
        for before, after in zip(result.segments, sample.segments, strict=True):
            assert dataset.labels[after.category_id].name == before.label
            np.testing.assert_array_equal(sample.panoptic == after.id, result.panoptic == before.id)
        np.testing.assert_array_equal(sample.panoptic == 0, result.panoptic == 0)
    places = ("--annotations", str(out / "panoptic.json"), "--images", str(folder), "--panoptic", str(out))
    assert pem_eval.main([str(tiny), *places, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pq"]["all"]["pq"] == pytest.approx(100)


def test_the_legend_has_one_height_under_all_frames(tiny: Path, tmp_path: Path) -> None:
    """Each frame shows another number of classes; none is scaled to the size of another."""
    video = tmp_path / "drive.mp4"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"mp4v"), 10, (318, 240))
    for colors in ([RED], [RED, BLUE], [RED, WHITE, BLUE]):
        row = np.array([colors], np.uint8).repeat(318 // len(colors), axis=1)
        writer.write(row.repeat(240, axis=0))
    writer.release()
    assert pem_run.main([str(tiny), str(video), "-o", str(tmp_path / "out"), "--save", "overlay"]) == 0
    capture = cv2.VideoCapture(str(tmp_path / "out" / "drive_overlay.mp4"))
    frames = [capture.read()[1] for _ in range(3)]
    assert 240 < frames[0].shape[0] < 300
    for frame in frames:
        assert frame[232, 5].argmax() == 2, "red down to where the legend begins"
        assert frame[246, 312].max() < 60
