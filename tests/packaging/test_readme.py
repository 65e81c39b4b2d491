"""The Python examples of the README and of docs/python.md run as they stand."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from pkgutil import resolve_name

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = [
    (page, example)
    for page in ("README.md", "docs/python.md")
    for example in re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
]
OPTIONAL = ("fastapi", "supervision")
"""Libraries that examples use and that nothing else needs."""


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
    assert {page for page, example in EXAMPLES if "pem_edge.load" in example} == {"README.md", "docs/python.md"}


@pytest.mark.parametrize(("page", "example"), EXAMPLES)
def test_python_examples_run(page: str, example: str, folder: Path) -> None:
    for name in OPTIONAL:
        if f"import {name}" in example or f"from {name}" in example or f"to_{name}" in example:
            pytest.importorskip(name, reason=f"{name} is not installed")
    program = folder / f"{Path(page).stem}.py"  # a file, as processes that it starts import it
    program.write_text(example)
    runpy.run_path(str(program), run_name="__main__")


def test_a_stream_goes_on_after_a_broken_picture_as_shown(folder: Path) -> None:
    program = folder / "stream.py"
    program.write_text(next(example for _, example in EXAMPLES if "on_error" in example))
    names = runpy.run_path(str(program))
    assert Path(names["result"].name).name == "a.jpg"
    assert ["cut.jpg" in str(error) for error in names["failed"]] == [True]


def test_the_service_answers_pictures_with_json_and_others_with_an_error(folder: Path) -> None:
    testclient = pytest.importorskip("fastapi.testclient", reason="FastAPI is not installed")
    program = folder / "service.py"
    program.write_text(next(example for _, example in EXAMPLES if "FastAPI()" in example))
    client = testclient.TestClient(runpy.run_path(str(program))["app"])
    answer = client.post("/segment", content=(folder / "street.jpg").read_bytes())
    assert (answer.status_code, answer.json()["task"]) == (200, "panoptic")
    assert answer.json()["segments"]
    refused = client.post("/segment", content=b"no picture")
    assert (refused.status_code, "is not an image" in refused.json()["detail"]) == (422, True)
