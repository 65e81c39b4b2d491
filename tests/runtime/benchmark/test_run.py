"""A whole benchmark of real artifacts: complete, consistent, and over before it began where it cannot be done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.benchmark import pictures, schema
from pem_edge.runtime.benchmark.report import text
from pem_edge.runtime.benchmark.run import Options, run
from pem_edge.runtime.errors import ArtifactError, InputError
from pem_edge.runtime.files import sha256
from tests.runtime.conftest import Builder
from tests.runtime.helpers import coco_folder

QUICK = Options(
    rounds=3,
    most_rounds=3,
    warmup=1,
    backend="onnxruntime",
    threads=1,
    scenario_seconds=0.0,
    streams=2,
    cold_starts=1,
    rates=False,
    seed=5,
)
BARE = replace(QUICK, scenarios=(), cold_starts=0, memory=False, profile=False)


def test_an_artifact_against_itself(tiny: Path) -> None:
    said: list[str] = []
    report = run([str(tiny), str(tiny)], replace(QUICK, command="pem-bench tiny tiny"), said.append)
    assert schema.parse(report.to_json(), "report.json") == report
    assert (report.rounds, report.command) == (3, "pem-bench tiny tiny")
    assert report.reference_work is not None
    assert report.reference_work.samples == 3
    assert [one.name for one in report.artifacts] == [f"{tiny} #1", f"{tiny} #2"]
    for one in report.artifacts:
        complete(one)
        assert one.sha256 == sha256(tiny)
    assert {(found.model, found.baseline) for found in report.comparisons} == {(f"{tiny} #2", f"{tiny} #1")}
    assert {"inference", "total"} <= {found.stage for found in report.comparisons} <= set(report.artifacts[0].stages)
    assert report.machine.after
    assert any("round 1 to 3" in line for line in said)
    assert any("this takes about a minute" in line for line in said)


def complete(one: schema.ArtifactReport) -> None:
    assert set(one.stages) == {"decode", "preprocess", "inference", "postprocess", "total"}
    assert {times.samples for times in one.stages.values()} == {3}
    for parts in zip(*(one.stages[stage].values for stage in one.stages), strict=True):
        assert sum(parts[:-1]) <= parts[-1]
    assert one.settings["threads"] == 1
    assert one.scenarios.multi_stream
    assert one.scenarios.offline
    assert one.scenarios.camera
    assert one.cold_start
    assert one.cold_start.total.samples == 1
    assert one.memory
    assert one.profile
    assert set(one.missing) == {"rate", "accuracy"}


def test_accuracy_is_that_of_the_dataset() -> None:
    report = run(["demo"], replace(BARE, dataset="toy:4", dataset_limit=2), lambda _: None)
    accuracy = report.artifacts[0].accuracy
    assert accuracy is not None
    assert (accuracy.dataset, accuracy.images) == ("toy:4", 2)
    assert accuracy.pq is not None
    assert 20 < accuracy.pq < 100
    assert report.artifacts[0].sha256 == artifact.read("demo").manifest.model.sha256  # type: ignore[union-attr]


def test_pictures_of_a_folder(tiny: Path, flag: NDArray[np.uint8], tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    cv2.imwrite(str(folder / "flag.png"), flag)
    report = run([str(tiny)], replace(BARE, images=folder), lambda _: None)
    assert report.images == str(folder)
    assert report.comparisons == ()
    one = report.artifacts[0]
    assert (one.cold_start, one.memory, one.profile, one.rate, one.accuracy) == (None,) * 5
    assert one.missing == dict.fromkeys(("cold_start", "memory", "profile", "rate", "accuracy"), "not asked for")
    assert (one.scenarios.multi_stream, one.scenarios.offline, one.scenarios.camera) == (None,) * 3


def test_pictures_that_cannot_be_read_are_left_out_and_named(
    tiny: Path, flag: NDArray[np.uint8], tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    cv2.imwrite(str(folder / "flag.png"), flag)
    for number in range(pictures.COUNT):  # all of these come before the one that can be read
        (folder / f"empty-{number}.png").touch()
    said: list[str] = []
    assert run([str(tiny)], replace(BARE, images=folder), said.append).artifacts
    first = f"the first: {folder / 'empty-0.png'} has 0 bytes"
    assert any(line.startswith(f"left out 8 images that cannot be read, {first}") for line in said)
    assert f"1 image of {folder} in use" in said
    (folder / "flag.png").unlink()
    with pytest.raises(InputError, match=r"empty-0\.png has 0 bytes"):
        run([str(tiny)], replace(BARE, images=folder), said.append)


def test_a_broken_artifact_ends_it_before_anything_is_measured(tiny: Path, tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(ArtifactError, match="does not exist"):
        run([str(tiny), str(tmp_path / "none.onnx")], BARE, said.append)
    assert not any("round" in line for line in said)


def test_a_semantic_models_accuracy_is_its_iou(build: Builder, tmp_path: Path) -> None:
    folder = coco_folder.write(tmp_path / "dataset", 1)
    report = run([str(build(task="semantic"))], replace(BARE, dataset=str(folder)), lambda _: None)
    accuracy = report.artifacts[0].accuracy
    assert accuracy is not None
    assert (accuracy.pq, accuracy.miou) == (None, 100.0)
    assert "100.0" in text.report(report)


def test_a_dataset_of_other_classes_ends_it_before_anything_is_measured(tiny: Path) -> None:
    said: list[str] = []
    with pytest.raises(InputError):
        run([str(tiny)], replace(BARE, dataset="toy:2"), said.append)
    assert not any("round" in line for line in said)


def test_what_an_artifact_lacks_is_missing_with_its_reason(tiny: Path) -> None:
    report = run([str(tiny)], replace(BARE, rates=True), lambda _: None)
    assert report.artifacts[0].rate is None
    assert "has no account of its work" in report.artifacts[0].missing["rate"]
