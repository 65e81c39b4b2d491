"""Runs of ``pem-train`` on a few boxes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest
import torch

from pem_edge.pem.cli.train import main
from pem_edge.runtime.results import coco_format
from tests.helpers.boxes import LABELS, Boxes
from tests.helpers.pem_train import arguments

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _gradients() -> Iterator[None]:
    with torch.inference_mode(False):
        yield


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Boxes in COCO's panoptic format."""
    folder, boxes = tmp_path_factory.mktemp("boxes"), Boxes(6)
    images, annotations = [], []
    for kind in ("images", "panoptic"):
        (folder / kind).mkdir()
    for i in range(len(boxes)):
        sample = boxes[i]
        cv2.imwrite(str(folder / "images" / f"{i}.png"), sample.image[..., ::-1])
        cv2.imwrite(str(folder / "panoptic" / f"{i}.png"), coco_format.encode(sample.panoptic)[..., ::-1])
        images.append(coco_format.image(i, f"{i}.png", (64, 64)))
        infos = [{"id": s.id, "category_id": s.category_id, "iscrowd": 0} for s in sample.segments]
        annotations.append({"image_id": i, "file_name": f"{i}.png", "segments_info": infos})
    (folder / "panoptic.json").write_text(json.dumps(coco_format.document(annotations, images, LABELS)))
    return folder


@pytest.fixture
def run(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Return a function from further options to exit code, output and error of a run into ``tmp_path / out``."""

    def train(*more: str, variant: str | None = "pem-nano") -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(arguments(folder, tmp_path / "out", *more, variant=variant))
        return code, *capfd.readouterr()

    return train
