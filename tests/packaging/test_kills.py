"""The campaign of kills: in short it finds nothing, and it would find what a kill may spoil."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("safetensors", reason="the campaign trains and exports, too")

from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.manifest import manifest_path
from pem_edge.runtime.artifacts.sections import FileHash
from pem_edge.runtime.files import sha256
from scripts.campaign.kills.artifacts import Export
from scripts.campaign.kills.outputs import Run, make_clip
from scripts.campaign.kills.subject import Inputs

ROOT = Path(__file__).parents[2]


def test_a_few_kills_spoil_nothing(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    options = ["--count", "8", "--seed", "3", "--only", "run", "engine", "-o", str(report)]
    command = [sys.executable, "-m", "scripts.campaign.kills", *options]
    in_background = ["bash", "-c", "trap '' INT HUP; exec \"$@\"", "bash"]
    done = subprocess.run([*in_background, *command], cwd=ROOT, capture_output=True, text=True, timeout=900)
    found = json.loads(report.read_text())
    assert (done.returncode, found["faults"]) == (0, 0), done.stderr
    assert found["kills"] == 8
    assert all(each["complete_runs"] >= 2 for each in found["commands"].values())
    assert {"SIGINT", "SIGHUP"} & {name for each in found["commands"].values() for name in each["signals"]}


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    return Inputs(artifact.read(artifact.DEMO).model, tmp_path / "clip.mp4", tmp_path)


def test_a_mixed_or_lost_artifact_is_found(inputs: Inputs, tmp_path: Path) -> None:
    subject = Export(tmp_path / "export", inputs)
    subject.out.mkdir(parents=True)
    shutil.copyfile(inputs.onnx, subject.model)
    manifest = artifact.read(subject.model).manifest
    subject.run = 70  # of the demo's score
    assert subject.faults() == []
    described = msgspec.structs.replace(manifest, queries=7, model=FileHash(subject.model.name, sha256(subject.model)))
    manifest_path(subject.model).write_bytes(described.to_json())
    assert [fault.partition(":")[0] for fault in subject.faults()] == ["mixed"]
    subject.model.write_bytes(b"half")
    assert [fault.partition(":")[0] for fault in subject.faults()] == ["mixed or half"]
    subject.model.unlink()
    assert [fault.partition(":")[0] for fault in subject.faults()] == ["lost"]


def test_half_a_video_and_what_is_left_behind_are_found(inputs: Inputs, tmp_path: Path) -> None:
    subject = Run(tmp_path / "run", inputs)
    subject.out.mkdir(parents=True)
    make_clip(subject.out / "clip_overlay.mp4")
    assert subject.faults() == []
    data = (subject.out / "clip_overlay.mp4").read_bytes()
    (subject.out / "clip_overlay.mp4").write_bytes(data[: len(data) // 2])
    assert subject.faults() == ["half: out/clip_overlay.mp4"]
    (subject.out / ".pem-edge-0123456789abcdef.png").touch()
    assert "leftover: out/.pem-edge-0123456789abcdef.png" in subject.faults_at_end()
