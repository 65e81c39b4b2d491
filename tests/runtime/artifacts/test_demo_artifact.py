"""The artifact that comes with the package works offline, and segments streets that its training never saw."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from pem_edge import runtime
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.cli.eval import main as pem_eval
from pem_edge.runtime.cli.run import main as pem_run
from pem_edge.runtime.datasets.toy_streets import LABELS, ToyStreets

HELD_OUT = 7
"""A seed of scenes that training never saw; it saw seed 1."""

PQ_AT_LEAST, MIOU_AT_LEAST = 48.0, 65.0
"""On the few scenes below; docs/results has the figures for 200."""


def test_its_manifest_vouches_for_it() -> None:
    found = artifact.read("demo")
    assert found.manifest.classes == LABELS
    assert found.manifest.parity
    assert all(result.passed for result in found.manifest.parity.values())


def test_it_segments_streets_it_has_not_seen(capsys: pytest.CaptureFixture[str]) -> None:
    assert pem_eval(["demo", "--dataset", f"toy:12:256x512:{HELD_OUT}", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["images"] == 12
    assert scores["pq"]["all"]["pq"] > PQ_AT_LEAST
    assert scores["miou"] > MIOU_AT_LEAST


def test_pem_run_takes_it_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(tmp_path / "street.png"), ToyStreets(1, seed=HELD_OUT)[0].image[..., ::-1])
    assert pem_run(["demo", str(tmp_path / "street.png"), "-o", str(tmp_path / "out"), "--json"]) == 0
    image = json.loads(capsys.readouterr().out)["images"][0]
    assert {"road", "sky"} <= {segment["label"] for segment in image["segments"]}
    assert Path(image["overlay"]).exists()


def test_python_takes_it_by_name() -> None:
    with runtime.load("demo") as segmenter:
        assert segmenter.manifest.variant == "pem-nano"
