"""A folder with the files that examples name."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.manifest import manifest_path
from pem_edge.runtime.datasets.toy_streets import ToyStreets
from reference import published_models


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, which has the files that the examples name."""
    monkeypatch.chdir(tmp_path)
    streets = ToyStreets(3)
    for index, name in enumerate(("street.jpg", "crossing.jpg")):
        cv2.imwrite(name, streets[index].image[..., ::-1])
    photos = Path("photos")
    photos.mkdir()
    shutil.copy("street.jpg", photos / "a.jpg")
    (photos / "cut.jpg").write_bytes(Path("street.jpg").read_bytes()[:2000])
    writer = cv2.VideoWriter("drive.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 25, streets[0].image.shape[1::-1])
    for _ in range(3):
        writer.write(np.ascontiguousarray(streets[2].image[..., ::-1]))
    writer.release()
    Path("out").mkdir()
    demo = artifact.read("demo").model
    for name in ("pem-stdc1", "eomt-s"):
        shutil.copy(demo, f"out/{name}.onnx")
        shutil.copy(manifest_path(demo), f"out/{name}.json")
    published_models.write_checkpoint("pem_stdc1_cityscapes", tmp_path).rename("model_final.pth")
    return tmp_path
