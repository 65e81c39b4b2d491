"""The GPU check goes through all of its sections without a GPU, and keeps what it found whatever ends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from scripts.gpu.reporting import summary
from scripts.gpu.sections import SECTIONS, obstacle
from scripts.gpu.tasks import Deadline
from tests.helpers.host_compiler import require_host_compiler
from tests.helpers.processes import started

if TYPE_CHECKING:
    from pem_edge import pem
    from scripts.gpu.bench import Bench
    from scripts.gpu.networks.forms import Case, Network, Precision

ROOT = Path(__file__).parents[2]
HIDE = """\
import importlib.machinery

find = importlib.machinery.PathFinder.find_spec
hide = lambda name, *more: None if name in {} else find(name, *more)
importlib.machinery.PathFinder.find_spec = hide
"""
COMMAND = str(ROOT / "scripts" / "gpu_check")


def environment(*first: Path) -> dict[str, str]:
    """Return this environment, with folders that come first when Python imports."""
    from sys import executable

    path = os.pathsep.join(map(str, (*first, ROOT)))
    return {**os.environ, "PYTHON": executable, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def run(folder: Path, *options: str, first: tuple[Path, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [COMMAND, "-o", str(folder), *options]
    return subprocess.run(command, env=environment(*first), capture_output=True, text=True, timeout=600)


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "gpu_check.json").read_text())
    return found


def states(folder: Path) -> dict[str, str]:
    return {name: section["state"] for name, section in report(folder)["sections"].items()}


def test_a_dry_run_goes_through_every_section(tmp_path: Path) -> None:
    done = run(tmp_path, "--dry")
    assert done.returncode == 0, done.stderr
    assert states(tmp_path) == dict.fromkeys(SECTIONS, "done")
    sections = report(tmp_path)["sections"]
    assert [section["not reached"] for section in sections.values()] == [[]] * len(SECTIONS)
    tables = {name: set(section["tables"]) for name, section in sections.items()}
    assert {"times", "errors"} <= tables["kernels"]
    assert {"end to end", "merge", "fit"} <= tables["pipeline"]
    trained = [row["precision"] for row in sections["networks"]["tables"]["in CUDA graphs"] if row["weights"] == "demo"]
    assert trained == ["fp16", "tf32", "fp32"]
    compiled = [row["form"] for row in sections["compiled"]["tables"]["in CUDA graphs"]]
    assert sorted(compiled) == ["ours", "published"]
    page = (tmp_path / "gpu_check.md").read_text()
    assert page.index("times mean nothing") < page.index("**kernels**") < page.index("| machine |")
    assert "aim " not in page
    assert not any("torchvision" in column for row in sections["kernels"]["tables"]["times"] for column in row)


def test_what_is_not_installed_is_said_first_with_the_command_and_left_out(tmp_path: Path) -> None:
    hidden = ("hypothesis", "pytest", "torchvision")
    (tmp_path / "sitecustomize.py").write_text(HIDE.format(hidden))
    done = run(tmp_path / "out", "--dry", "--only", "tests", "pipeline", first=(tmp_path,))
    assert done.returncode == 0, done.stderr
    reason = "pytest and hypothesis are not installed: pip install pytest hypothesis"
    assert done.stderr.splitlines()[0] == f"gpu_check: tests is left out, as {reason}"
    assert "Traceback" not in done.stderr
    found = states(tmp_path / "out")
    assert (found["tests"], found["pipeline"]) == ("skipped", "done")
    assert f"**tests**: skipped, {reason}" in (tmp_path / "out" / "gpu_check.md").read_text()


def test_a_gpu_is_also_measured_against_what_a_dry_run_has_a_stand_in_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("torch", "torchvision"):
        monkeypatch.setitem(sys.modules, module, None)
    assert obstacle("kernels", dry=True) == "torch is not installed: pip install torch"
    assert obstacle("kernels", dry=False) == "torch and torchvision are not installed: pip install torch torchvision"


def test_on_a_gpu_a_section_that_is_left_out_shows_in_the_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from scripts.gpu import check

    monkeypatch.setattr("scripts.gpu.machine.without_gpu", lambda: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)  # this process is pytest's
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setattr(sys, "argv", ["gpu_check", "-o", str(tmp_path), "--only", "pipeline"])
    assert check.main() == 1
    assert "gpu_check: pipeline is left out, as torchvision is not installed" in capsys.readouterr().err
    assert states(tmp_path)["pipeline"] == "skipped"


def test_a_kill_leaves_what_was_found_until_then(tmp_path: Path) -> None:
    command = [COMMAND, "-o", str(tmp_path), "--dry", "--only", "networks", "kernels"]
    with started(command, env=environment()) as process:
        give_up = time.monotonic() + 120
        while time.monotonic() < give_up and process.poll() is None:
            if (tmp_path / "gpu_check.json").exists() and states(tmp_path)["kernels"] == "done":
                break
            time.sleep(0.05)
        process.kill()
        process.wait()
    found = report(tmp_path)["sections"]
    assert (found["kernels"]["state"], found["kernels"]["failed"]) == ("done", [])
    assert found["networks"]["state"] in ("not reached", "running")
    rows = sum(map(len, found["kernels"]["tables"].values()))
    assert f"**kernels**: {rows} of {rows} rows right" in (tmp_path / "gpu_check.md").read_text()


def test_only_engines_may_be_missing(tmp_path: Path) -> None:
    stub = tmp_path / "stub"
    stub.mkdir()
    (stub / "msgspec.py").write_text("raise ModuleNotFoundError('No module named msgspec', name='msgspec')\n")
    done = run(tmp_path / "out", "--dry", "--only", "pipeline", first=(stub,))
    assert done.returncode == 1
    section = report(tmp_path / "out")["sections"]["pipeline"]
    assert section["failed"] == ["ModuleNotFoundError: No module named msgspec"]


def test_the_deadline_ends_it_in_good_order(tmp_path: Path) -> None:
    done = run(tmp_path, "--dry", "--minutes", "0.01")
    assert done.returncode == 0, done.stderr
    sections = report(tmp_path)["sections"].values()
    assert [section["tables"] for section in sections] == [{}] * len(SECTIONS)
    assert all(section["not reached"] or section["state"] == "not reached" for section in sections)


def test_what_would_not_end_in_time_is_not_begun(tmp_path: Path) -> None:
    done = run(tmp_path, "--dry", "--minutes", "0.6", "--only", "engines")
    assert done.returncode == 0, done.stderr
    section = report(tmp_path)["sections"]["engines"]
    assert section["not reached"]
    assert "engines" not in section["tables"]


def test_a_section_that_there_is_not_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, "--only", "kernels", "engine")
    assert done.returncode != 0
    assert done.stderr == f"gpu_check: no section 'engine', there are {', '.join(SECTIONS)}\n"


@pytest.mark.parametrize("minutes", ["nan", "inf", "0", "-5", "soon"])
def test_minutes_are_a_number_above_0(minutes: str, tmp_path: Path) -> None:
    done = run(tmp_path, "--dry", "--minutes", minutes)
    assert done.returncode == 2
    assert f"'{minutes}' must be a number of minutes above 0" in done.stderr


def test_no_gpu_is_one_line(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = run(tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "PyTorch finds no NVIDIA GPU here" in done.stderr


def section(**tables: list[dict[str, Any]]) -> dict[str, Any]:
    return {"state": "done", "reason": "", "failed": [], "not reached": [], "tables": tables}


def test_the_summary_holds_the_figures_against_the_aims() -> None:
    r50 = {"variant": "pem-r50", "size": "1024x2048", "precision": "fp16", "compiled": False}
    rows = [{**r50, "form": "ours", "ms": 2.0, "FPS": 500.0}, {**r50, "form": "published", "ms": 5.0, "FPS": 200.0}]
    times = {"form": "float16 kHWC8", "times torchvision": 2.5, "times torchvision, cold": 2.0, "size": "32x64"}
    frames = {**r50, "FPS": 310.0, "ms one by one, p50": 4.0, "ms one by one, p99": 5.0}
    sections = {name: section() for name in SECTIONS} | {
        "kernels": section(times=[times]),
        "networks": section(**{"in CUDA graphs": rows}),
        "pipeline": section(**{"end to end": [frames]}),
        "compiled": section(**{"in CUDA graphs": [{**rows[1], "compiled": True, "ms": 3.0}]}),
    }
    said = [line for line in summary.lines(sections) if not line.startswith("**")]
    aims = [
        "3 or more, **missed**",
        "400 or more, **reached**",
        "",
        "2 or more, **missed**",
        "300 or more, **reached**",
    ]
    assert [line.partition("; aim ")[2] for line in said] == aims
    assert said[2].endswith(": 2.50")


@pytest.mark.parametrize("variant", ["pem-nano", "mask2former-r50"])
def test_the_published_form_makes_its_tensors_where_its_images_are(variant: str) -> None:
    torch = pytest.importorskip("torch")
    from pem_edge import pem
    from reference.published_form import ReferenceForm

    published = ReferenceForm(pem.build(variant, num_classes=3)).eval().to("meta")
    logits, masks = published(torch.zeros(1, 64, 96, 3, dtype=torch.uint8, device="meta"))
    assert (logits.device.type, tuple(masks.shape[2:])) == ("meta", (16, 24))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Yield a bench on the CPU, in this process."""
    require_host_compiler()
    pytest.importorskip("torch")
    from reference.cuda_simulation.cuda import Cuda
    from scripts.gpu.bench import Bench
    from scripts.gpu.devices.host import HostDevice

    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:  # the device replaces these, for good
        patch.setenv("XDG_CACHE_HOME", str(folder))
        for name, module in Cuda().modules().items():
            patch.setitem(sys.modules, name, module)
        yield Bench(HostDevice(folder), folder, Deadline(600), None)


def damage(model: pem.MaskClassifier, fault: str) -> pem.MaskClassifier:
    """Break the smallest of the deformable convolutions, whose faults show least."""
    import torch

    from pem_edge.pem.layers.deform_conv import TAPS
    from pem_edge.pem.pixel_decoders.pem import DeformableLevel

    level = next(module for module in model.modules() if isinstance(module, DeformableLevel))
    with torch.no_grad():
        if fault == "weight zeroed":
            level.deform.weight.zero_()
        if fault == "offsets ignored":
            for parameter in level.offsets.parameters():
                parameter[: 2 * TAPS] = 0
    return model


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
@pytest.mark.parametrize("fault", ["none", "weight zeroed", "offsets ignored"])
def test_a_row_fails_if_one_deformable_convolution_is_wrong(
    fault: str, precision: Precision, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scripts.gpu.networks import forms, tasks

    def build(case: Case, bench: Bench) -> Network:
        return forms.prepared(damage(forms.weighted(case), fault), case, bench)

    monkeypatch.setattr(tasks, "build", build)
    row = tasks.task(forms.trained(precision), tasks.SECONDS, bench).run()
    assert ("failed" in row) == (fault != "none"), row


@pytest.mark.parametrize(("body", "right"), [("pass", True), ("pytest.skip('no TensorRT')", False)])
def test_the_tests_are_wrong_on_a_gpu_if_all_skip(
    body: str, right: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from scripts.gpu import gpu_tests

    file = tmp_path / "test_on_a_gpu.py"
    file.write_text(f"import pytest\n\n@pytest.mark.gpu\ndef test_it():\n    {body}\n")
    monkeypatch.setattr(gpu_tests, "PLACES", (str(file),))
    real = cast("Bench", SimpleNamespace(device=SimpleNamespace(dry=False), deadline=Deadline(60)))
    (task,) = gpu_tests.tasks(real)
    assert ("failed" in task.run()) == (not right)
