"""An artifact is scored on label maps, whose classes it finds by name, and the command says what maps do not tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from pem_edge.runtime.cli import eval as pem_eval
from pem_edge.runtime.datasets.toy_streets import LABELS, ToyStreets
from pem_edge.runtime.evaluation.evaluate import VOID, semantic_truth
from tests.runtime.datasets.layouts.folders import save


def test_an_artifact_is_scored_on_label_maps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [label.name for label in LABELS][::-1]
    (tmp_path / "classes.txt").write_text("\n".join(names))
    for index in range(2):
        sample = ToyStreets(2)[index]
        classes = semantic_truth(sample)
        save(tmp_path / f"labels/{index}.png", (255 * (classes == VOID) + (14 - classes) * (classes != VOID)))
        path = tmp_path / f"images/{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(sample.image).save(path)
    arguments = ["demo", "--dataset", f"labels:{tmp_path}", "--json"]
    assert pem_eval.main(arguments) == 1
    assert "'traffic sign' is stuff in the dataset and a thing in the model: correct its isthing or --things" in (
        capsys.readouterr().err
    )
    things = ",".join(label.name for label in LABELS if label.isthing)
    assert pem_eval.main([*arguments, "--things", things]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["miou"] > 50
    assert printed.err.count("the maps tell classes, not instances") == 1
