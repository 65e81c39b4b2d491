"""The commands in the README and in all pages run as they stand, page by page in their order, with small stand-ins.

Models are small or of random weights, the hub is a server on this machine, and options that make a command smaller are
appended where one would take hours. A command that needs TensorRT or a camera must fail for the lack of it alone.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pem_edge import pem
from pem_edge.pem.checkpoints import DEMO_FILE
from pem_edge.runtime import images
from pem_edge.runtime.artifacts import artifact, labels
from pem_edge.runtime.artifacts.manifest import manifest_path, read_manifest
from pem_edge.runtime.datasets.toy_streets import ToyStreets
from pem_edge.runtime.results import coco_format
from reference.huggingface import eomt, folders
from reference.huggingface.hub_server import HubServer
from tests.helpers.gpu import has_gpu
from tests.packaging.documents import PAGES, ROOT, commands_of
from tests.runtime.helpers import coco_folder

EOMT, MASK2FORMER = "tue-mps/coco_panoptic_eomt_small_640_2x", "facebook/mask2former-swin-tiny-coco-panoptic"
RUNS = re.compile(r"pem-|.*\| *pem-")
COMMANDS = [(page, command) for page in PAGES for command in commands_of(page)]

SMALLER = {
    "pem-bench out": "--rounds 2 --scenarios none --no-cold-start --no-profile",
    "pem-bench timing": "--rounds 2 --scenarios none --no-cold-start --no-profile",
    "pem-bench demo": "--rounds 2 --scenarios none --no-cold-start --no-profile",
    "pem-eval": "--limit 2",
    "pem-export --weights model_final.pth --precision": "--size 128x256",
    "pem-export --weights model_final.pth --to onnx --precision": "--size 128x256",
    "pem-export --weights qat": "--size 128x256",
    "pem-train --variant pem-stdc1 --dataset toy:2": "--size 64x96 --device cpu --workers 0",
    "pem-train": "--steps 1 --batch 2 --size 64x96 --device cpu --workers 0 --no-export",
}
"""Options to append, by the start of a command."""

REPLACED = {
    r"rtsp://camera/stream": "street.jpg",
    r"--fail-if-slower 5%": "--fail-if-slower 1000%",  # the machine may be busy
    r"--live\b": "--live 0",
    r"--variant pem-stdc1 (.*--weights)": r"--variant pem-nano \1",
    r"qat/pem-stdc1\.": "qat/pem-nano.",
    r"(--weights model_final.pth .*--calib DIR)": r"\1 --labels toys/panoptic.json",  # nothing in it names its classes
    r"--annotations \S+": "--annotations toys/panoptic.json",
    r"--images (?!street)\S+": "--images toys/images",
    r"--panoptic \S+": "--panoptic toys/panoptic",
    r"--dataset [a-z0-9-]+:/\S+( --split \S+)?( --things \S+)?": "--dataset toys",
}
"""What stands for other things than files, by patterns."""

MISSING = {
    "TensorRT": re.compile(r"--to trt\b(?!-)|\.engine\b|--build-plugin"),
    "FFmpeg": re.compile(r"^ffmpeg "),
}
"""What a command needs that has such words."""


def is_missing(what: str) -> bool:
    if what == "TensorRT":
        return not (has_gpu() and find_spec("tensorrt"))
    return shutil.which(what.lower()) is None


@dataclass(frozen=True)
class Place:
    """A folder with the files that the commands of a page name, and a hub."""

    folder: Path
    hub: HubServer

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        for pattern, value in REPLACED.items():
            command = re.sub(pattern, value, command)
        command += next((f" {more}" for start, more in SMALLER.items() if command.startswith(start)), "")
        environment = self.hub.environment(self.folder / "huggingface", XDG_CACHE_HOME=str(self.folder / "cache"))
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        return subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=900
        )


def pictures(folder: Path) -> None:
    """Write pictures, folders of pictures, and a video, by the names in the documents."""
    made = ToyStreets(6, 128, 256)
    streets = [made[index].image[..., ::-1] for index in range(6)]
    for name in ("photos", "photos/more", "street_pictures"):
        (folder / name).mkdir()
    for name, image in zip(
        ("street", "crossing", "photo", "photos/a", "photos/more/b", "photos/c"), streets, strict=True
    ):
        cv2.imwrite(str(folder / f"{name}.jpg"), image)
    for index, image in enumerate(streets):
        cv2.imwrite(str(folder / "street_pictures" / f"{index}.png"), image)
    writer = cv2.VideoWriter(str(folder / "drive.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, streets[0].shape[1::-1])
    for image in streets:
        writer.write(np.ascontiguousarray(image))
    writer.release()


def artifacts(folder: Path) -> None:
    """Write copies of the demo, by the names in the documents."""
    demo = artifact.read("demo").model
    (folder / "out").mkdir()
    for name in ("pem-stdc1", "pem-stdc1-int8", "pem-stdc1-fp16", "eomt-s"):
        shutil.copy(demo, folder / "out" / f"{name}.onnx")
        shutil.copy(manifest_path(demo), folder / "out" / f"{name}.json")
    shutil.copy(DEMO_FILE, folder / "out" / "pem-stdc1.safetensors")
    torch.save({"model": pem.load("demo").state_dict()}, folder / "model_final.pth")


def datasets(folder: Path) -> None:
    make = [sys.executable, "scripts/make_toy_streets.py", "--images", "4", "--size", "128x256", "--workers", "1"]
    subprocess.run([*make, "--out", folder / "toys"], cwd=ROOT, check=True, capture_output=True)
    shutil.copytree(folder / "toys", folder / "DIR")


def reports(place: Place) -> None:
    made = place.run("pem-bench out/pem-stdc1.onnx -o before.json")
    assert made.returncode == 0, made.stderr
    for name in ("after", "yesterday", "baseline"):
        shutil.copy(place.folder / "before.json", place.folder / f"{name}.json")


def as_coco(document: dict[str, Any]) -> None:
    """Give a document COCO's classes, and its segments some of them."""
    categories = document["categories"] = coco_format.categories(labels.load("coco_panoptic"))
    for annotation in document["annotations"]:
        for segment, category in zip(annotation["segments_info"], categories[::50], strict=True):
            segment["category_id"] = category["id"]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    folder, names = tmp_path_factory.mktemp("hub"), [label.name for label in labels.load("coco_panoptic")]
    swin = folders.write(folders.build("swin-tiny", names), folder / "swin", {"height": 64, "width": 96})
    with HubServer() as server:
        server.publish(EOMT, eomt.write(eomt.build("small", names, side=160), folder / "eomt"))
        server.publish(MASK2FORMER, swin)
        yield server


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, hub: HubServer) -> Callable[[str], Place]:
    """Return a function that returns a page's place, the same for all of its commands."""
    made: dict[str, Place] = {}

    def place(page: str) -> Place:
        if page not in made:
            made[page] = Place(tmp_path_factory.mktemp(Path(page).stem), hub)
            pictures(made[page].folder)
            artifacts(made[page].folder)
            datasets(made[page].folder)
            reports(made[page])
            if page == "README.md":  # whose first commands make a model of COCO's classes
                shutil.rmtree(made[page].folder / "DIR")
                coco_folder.write(made[page].folder / "DIR", 4, as_coco)
                for path in (made[page].folder / "out").glob("eomt-s.*"):
                    path.unlink()
        return made[page]

    return place


@pytest.mark.parametrize(("page", "command"), [each for each in COMMANDS if RUNS.match(each[1])])
def test_the_command_runs(page: str, command: str, places: Callable[[str], Place]) -> None:
    done = places(page).run(command)
    lacking = [what for what, words in MISSING.items() if is_missing(what) and words.search(command)]
    if lacking:
        assert done.returncode == 1, f"{command}: wrong usage, or it runs without {lacking[0]}: {done.stderr}"
        pytest.skip(f"{lacking[0]}, which the command needs, is not here")
    assert done.returncode == 0, done.stderr


def test_what_the_first_commands_left(places: Callable[[str], Place]) -> None:
    folder = places("README.md").folder
    manifest = read_manifest(folder / "out" / "eomt-s.json")
    assert (manifest.task, manifest.classes, manifest.queries) == ("panoptic", labels.load("coco_panoptic"), 200)
    assert (manifest.input.height, manifest.input.width) == (160, 160)
    assert (manifest.checkpoint.source, manifest.checkpoint.license) == (EOMT, "MIT")
    street, picture = (images.convert(name) for name in (images.DEMO_STREET, folder / "runs/1/street_overlay.png"))
    assert picture.shape[1] == street.shape[1]
    assert (folder / "runs/2/photo_overlay.png").exists()


def test_the_readme_leads_with_the_demo_and_with_public_weights() -> None:
    assert [command for command in commands_of("README.md") if command.startswith("pem-")][:3] == [
        "pem-run demo demo:street",
        f"pem-export --weights {EOMT} --to onnx -o out",
        "pem-run out/eomt-s.onnx photo.jpg",
    ]


@pytest.mark.parametrize(("page", "command"), [each for each in COMMANDS if not RUNS.match(each[1])])
def test_other_commands_name_what_exists(page: str, command: str) -> None:
    assert page in PAGES
    words = shlex.split(command, comments=True)
    if words[:2] == ["pip", "install"] and words[2].startswith("."):
        known = metadata.metadata("pem-edge").get_all("Provides-Extra")
        assert set(words[2].removeprefix(".").strip("[]").split(",")) <= set(known or ())
    for word in words:
        if word.startswith("scripts/"):
            assert (ROOT / word).exists(), command
    if words[:2] == ["python", "-m"] and words[2].startswith("scripts."):
        assert find_spec(words[2]) is not None, command
