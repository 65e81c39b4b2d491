"""The commands of the README run as they stand, in their order, with a hub that has models of random weights.

Where one would take hours or needs a camera, options that make it smaller are appended, and names replaced.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import pytest
import torch

from pem_edge import pem
from pem_edge.runtime import images
from pem_edge.runtime.artifacts import artifact, labels
from pem_edge.runtime.artifacts.manifest import manifest_path, read_manifest
from pem_edge.runtime.datasets.toy_streets import ToyStreets
from reference.huggingface import eomt, folders
from reference.huggingface.hub_server import HubServer
from tests.helpers.gpu import has_gpu

ROOT = Path(__file__).parents[2]
NAME, OTHER = "tue-mps/coco_panoptic_eomt_small_640_2x", "facebook/mask2former-swin-tiny-coco-panoptic"
BLOCKS = re.findall(r"^```\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
COMMANDS = [line.partition("  #")[0].strip() for block in BLOCKS for line in block.splitlines() if line[:4] == "pem-"]

SMALLER = {
    "pem-bench out": "--rounds 2 --scenarios none --no-cold-start --no-profile",
    "pem-eval": "--limit 2",
    "pem-train": "--steps 1 --batch 2 --size 64x96 --device cpu --workers 0",
}
"""Options to append, by the start of a command."""

REPLACED = {"DIR": "toy:4:128x256", "rtsp://camera/stream --live": "street.jpg --live 0"}


@dataclass(frozen=True)
class Place:
    """A folder with the files that the commands name, and a hub."""

    folder: Path
    hub: HubServer

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        for placeholder, value in REPLACED.items():
            command = command.replace(placeholder, value)
        command += next((f" {more}" for start, more in SMALLER.items() if command.startswith(start)), "")
        program, *arguments = shlex.split(command)
        environment = self.hub.environment(self.folder / "huggingface", XDG_CACHE_HOME=str(self.folder / "cache"))
        script = Path(sys.executable).with_name(program)
        return subprocess.run(
            [script, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=900
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("readme")
    for index, name in enumerate(("street.jpg", "photo.jpg")):
        cv2.imwrite(str(folder / name), ToyStreets(2)[index].image[..., ::-1])
    (folder / "out").mkdir()
    for name in ("pem-stdc1", "pem-stdc1-int8"):
        shutil.copy(artifact.read("demo").model, folder / "out" / f"{name}.onnx")
        shutil.copy(manifest_path(artifact.read("demo").model), folder / "out" / f"{name}.json")
    torch.save({"model": pem.load("demo").state_dict()}, folder / "model_final.pth")
    names = [label.name for label in labels.load("coco_panoptic")]
    model = folders.write(folders.build("swin-tiny", names), folder / "model", {"height": 64, "width": 96})
    with HubServer() as hub:
        hub.publish(NAME, eomt.write(eomt.build("small", names, side=160), folder / "eomt"))
        hub.publish(OTHER, model)
        made = Place(folder, hub)
        assert made.run("pem-bench out/pem-stdc1.onnx -o before.json").returncode == 0
        shutil.copy(folder / "before.json", folder / "after.json")
        yield made


def test_the_readme_leads_with_public_weights() -> None:
    assert COMMANDS[:2] == [
        f"pem-export --weights {NAME} --to onnx -o out",
        "pem-run out/eomt-s.onnx photo.jpg",
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_runs(command: str, place: Place) -> None:
    if "--to trt" in command and not (has_gpu() and find_spec("tensorrt")):
        pytest.skip("TensorRT is not installed")
    done = place.run(command)
    assert done.returncode == 0, done.stderr


def test_what_the_first_two_commands_left(place: Place) -> None:
    manifest = read_manifest(place.folder / "out" / "eomt-s.json")
    assert (manifest.task, manifest.classes, manifest.queries) == ("panoptic", labels.load("coco_panoptic"), 200)
    assert (manifest.input.height, manifest.input.width) == (160, 160)
    assert (manifest.checkpoint.source, manifest.checkpoint.license) == (NAME, "MIT")
    photo, picture = (images.convert(place.folder / name) for name in ("photo.jpg", "out/photo_overlay.png"))
    assert photo.shape == picture.shape
