"""The Python examples of the README run as they stand."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from pkgutil import resolve_name

import cv2
import numpy as np
import pytest

from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.manifest import manifest_path
from pem_edge.runtime.datasets.toy_streets import ToyStreets
from reference import published_models

ROOT = Path(__file__).parents[2]
EXAMPLES = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, which has the files that the examples name."""
    monkeypatch.chdir(tmp_path)
    streets = ToyStreets(3)
    for index, name in enumerate(("street.jpg", "crossing.jpg")):
        cv2.imwrite(name, streets[index].image[..., ::-1])
    writer = cv2.VideoWriter("drive.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 25, streets[0].image.shape[1::-1])
    for _ in range(3):
        writer.write(np.ascontiguousarray(streets[2].image[..., ::-1]))
    writer.release()
    Path("out").mkdir()
    demo = artifact.read("demo").model
    shutil.copy(demo, "out/pem-stdc1.onnx")
    shutil.copy(manifest_path(demo), "out/pem-stdc1.json")
    published_models.write_checkpoint("pem_stdc1_cityscapes", tmp_path).rename("model_final.pth")
    return tmp_path


def test_names_in_the_docs_exist() -> None:
    pages = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]
    found = {
        name
        for page in [*pages, *(ROOT / "docs").glob("*.md")]
        for name in re.findall(r"\bpem_edge(?:\.[A-Za-z_]\w*)+", page.read_text())
    }
    assert len(found) > 5
    for name in found:
        resolve_name(name)


def test_there_are_examples() -> None:
    assert any("pem_edge.load" in example for example in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES)
def test_python_examples_run(example: str, folder: Path) -> None:
    exec(compile(example, f"README.md in {folder}", "exec"), {})
