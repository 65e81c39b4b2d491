"""``pem-export --list`` shows public weights and variants, at once, and the docs have the same weights."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from pem_edge.export.cli import export, public_list
from pem_edge.pem.public_weights import LICENSES, listed
from scripts.reports import public_weights as page

WIDTH = 100
HEAVY = {"torch", "huggingface_hub", "transformers", "onnx"}


@pytest.mark.parametrize("option", ["--list", "--help"])
def test_the_list_and_the_help_import_nothing_heavy(option: str) -> None:
    code = (
        "import contextlib, sys\n"
        "from pem_edge.export.cli import export\n"
        f"with contextlib.suppress(SystemExit): export.main([{option!r}])\n"
        f"print(*(sys.modules.keys() & {HEAVY!r}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stderr.split(), bool(done.stdout)) == ([], True)


def test_names_are_shown_whole_with_figure_and_license_under_what_they_are_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert export.main(["--list"]) == 0
    shown = capsys.readouterr().out
    for row in listed():
        if row.on_hub:
            license_name = re.escape(LICENSES[row.license].name)
            pattern = rf"^  {re.escape(row.name)} +{row.figure:.1f}  {row.variant} +{license_name}"
            assert re.search(pattern, shown, re.MULTILINE)
        else:
            assert row.source in shown
    groups = re.findall(r"^(\w[\w ]*, \w+ \(\w+\))$", shown, re.MULTILINE)
    assert len(groups) == len(set(groups)) == 9
    assert max(map(len, shown.splitlines())) <= WIDTH


def test_licenses_that_forbid_commercial_use_have_a_star(capsys: pytest.CaptureFixture[str]) -> None:
    assert export.main(["--list"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"mmdetection/\S+: 11 files, Apache 2\.0$", shown, re.MULTILINE)
    assert re.search(r"swin-tiny-coco-panoptic +53\.2  mask2former-swin-t +CC BY-NC 4\.0\*$", shown, re.MULTILINE)
    assert "\n* not for commercial use\n" in shown


def test_json_has_every_row_with_all_that_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert export.main(["--list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["public_weights"]
    assert [row["name"] for row in rows] == [weights.name for weights in listed()]
    assert rows[0] == {
        "name": "facebook/mask2former-swin-tiny-coco-panoptic",
        "zoo": "Mask2Former",
        "url": "https://huggingface.co/facebook/mask2former-swin-tiny-coco-panoptic",
        "variant": "mask2former-swin-t",
        "dataset": "coco",
        "task": "panoptic",
        "metric": "PQ",
        "figure": 53.2,
        "source": "https://github.com/facebookresearch/Mask2Former/blob/main/MODEL_ZOO.md",
        "license": "CC-BY-NC-4.0",
        "commercial_use": False,
        "labels": "coco_panoptic",
        "converted_from": "model_final_9fd0ae.pkl",
        "on_hub": True,
    }


def test_every_data_set_has_a_name_for_people() -> None:
    assert {weights.dataset for weights in listed()} == set(public_list.DATASETS)


def test_the_docs_have_the_tables_of_the_list() -> None:
    assert f"{page.START}{page.tables()}{page.END}" in page.PAGE.read_text(), page.__doc__
