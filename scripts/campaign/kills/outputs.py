"""Commands that write results and reports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from pem_edge.runtime.benchmark import schema
from pem_edge.runtime.datasets.toy_streets import ToyStreets
from pem_edge.runtime.errors import PemError
from scripts.campaign.kills.subject import Subject

FRAMES = 8


class Run(Subject):
    """Drawings as a video, maps as PNGs, and their JSON."""

    name, command, share = "run", "pem-run", 0.3

    def arguments(self) -> list[str]:
        save = ["--save", "overlay,panoptic,json", "--overwrite"]
        return [str(self.inputs.onnx), str(self.inputs.clip), "-o", str(self.out), *save]

    def expected(self) -> set[str]:
        maps = {f"clip_panoptic/{index:06d}.png" for index in range(FRAMES)}
        return {"clip_overlay.mp4", "panoptic.json", *maps}

    def damages(self) -> Iterator[str]:
        for path in self.out.rglob("*"):
            if path.is_file() and not path.name.startswith(".") and not self._is_whole(path):
                yield f"half: {path.relative_to(self.folder)}"

    def _is_whole(self, path: Path) -> bool:
        if path.suffix == ".png":
            return cv2.imread(str(path)) is not None
        if path.suffix == ".mp4":
            return _frames(path) > 0
        return bool(json.loads(path.read_text())["annotations"])


class Bench(Subject):
    """Reports of a measurement."""

    name, command, share = "bench", "pem-bench", 0.08

    def arguments(self) -> list[str]:
        quick = ["--rounds", "1", "--scenarios", "none", "--no-cold-start", "--no-profile", "--overwrite"]
        reports = [part for name in sorted(self.expected()) for part in ("-o", str(self.out / name))]
        return [str(self.inputs.onnx), *quick, *reports]

    def expected(self) -> set[str]:
        return {"report.html", "report.json", "report.md"}

    def damages(self) -> Iterator[str]:
        for name in self.expected():
            path = self.out / name
            if path.exists() and not self._is_whole(path):
                yield f"half: {name}"

    def _is_whole(self, path: Path) -> bool:
        text = path.read_text()
        if path.suffix != ".json":
            return text.endswith("</html>\n" if path.suffix == ".html" else "</details>\n")
        try:
            return bool(schema.parse(text.encode(), str(path)).artifacts)
        except PemError:
            return False


def make_clip(path: Path) -> None:
    """Write a short video."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (96, 64))
    streets = ToyStreets(FRAMES, 64, 96)
    for index in range(FRAMES):
        writer.write(np.ascontiguousarray(streets[index].image[..., ::-1]))
    writer.release()


def _frames(path: Path) -> int:
    """Return the number of frames that can be decoded."""
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.grab():
        count += 1
    capture.release()
    return count
