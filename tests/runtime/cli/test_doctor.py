"""pem-doctor tells the state of an installation, whatever that is, and nothing that is private."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec
import pytest

from pem_edge.runtime.backends import BACKENDS
from pem_edge.runtime.diagnosis.schema import SCHEMA_VERSION, BackendFinding, Finding, Report

ROOT = Path(__file__).parents[3]
BLOCK = """
import importlib.machinery
find = importlib.machinery.PathFinder.find_spec
def block(name, path=None, target=None):
    return None if name.partition(".")[0] in {blocked!r} else find(name, path, target)
importlib.machinery.PathFinder.find_spec = block
"""
"""A module that Python runs at its start, in each process, and that hides packages as if they were not installed."""

ENGINES = ("onnxruntime", "openvino", "tensorrt", "tensorrt_rtx", "cuda", "torch", "av")


def doctor(
    tmp_path: Path, *arguments: str, files: Mapping[str, str] = MappingProxyType({}), **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command with additional files first on the import path."""
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"} | variables
    command = [sys.executable, "-m", "pem_edge.runtime.cli.doctor", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)


def test_the_report_has_its_schema_and_no_secrets(tmp_path: Path) -> None:
    home = tmp_path / "home-of-marie"
    home.mkdir()
    secrets = {"HF_TOKEN": "hf_Jx81pQzLw", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI", "ORT_PASSWORD": "correct-horse"}
    done = doctor(tmp_path, "--json", files={}, HOME=str(home), USER="marie", OMP_NUM_THREADS="1", **secrets)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    for private in (*secrets.values(), str(home), "marie"):
        assert private not in done.stdout + done.stderr
    parsed = msgspec.convert(report, Report)
    assert json.loads(msgspec.json.encode(parsed)) == report, "there is nothing that the schema does not know"
    assert (parsed.schema_version, parsed.ready, parsed.errors) == (SCHEMA_VERSION, True, ())
    assert list(parsed.backends) == list(BACKENDS)
    assert "OMP_NUM_THREADS=1" in parsed.sections["surroundings"]["variables"].value


def test_keys_are_the_documented_ones(tmp_path: Path) -> None:
    documented = (ROOT / "docs/doctor.md").read_text()
    report = msgspec.json.decode(doctor(tmp_path, "--json").stdout, type=Report)
    for kind in (Report, Finding, BackendFinding):
        for field in msgspec.structs.fields(kind):
            assert f"`{field.name}`" in documented
    for section, findings in report.sections.items():
        assert f"`{section}`" in documented
        for key in findings:
            assert key.startswith(("extra_", "gpu_")) or f"`{key}`" in documented, key


def test_a_machine_without_backends_is_told_what_to_install(tmp_path: Path) -> None:
    done = doctor(tmp_path, files={"sitecustomize.py": BLOCK.format(blocked=ENGINES)})
    assert done.returncode == 1
    assert "Not ready: no backend works -> pip install " in done.stdout
    assert done.stderr.splitlines()[-1].startswith("pem-doctor: no backend works here -> pip install ")
    assert "onnxruntime: not installed; for .onnx files -> if you need it, pip install" in done.stdout


@pytest.mark.parametrize(
    ("name", "failure"),
    [("numpy", "raise ImportError('libopenblas.so.0: no file')"), ("cv2", "import ctypes; ctypes.string_at(0)")],
)
def test_a_broken_base_library_is_a_line_and_an_error(name: str, failure: str, tmp_path: Path) -> None:
    done = doctor(tmp_path, "--json", files={f"{name}/__init__.py": failure})
    assert done.returncode == 1
    report = msgspec.json.decode(done.stdout, type=Report)
    key = ("packages", "numpy") if name == "numpy" else ("video", "opencv")
    assert report.sections[key[0]][key[1]].status == "broken"
    (error,) = report.errors
    assert "cannot be imported" in error
    assert report.backends["onnxruntime"].value == f"installed; not tried, as {name} cannot be imported"
    assert "Traceback" not in done.stderr


def test_terminals_without_the_marks_get_others(tmp_path: Path) -> None:
    done = doctor(tmp_path, PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.stdout.isascii()
    assert "\\u" not in done.stdout
    assert "  + NumPy: " in done.stdout
    assert done.stdout.rstrip().endswith("Paste this into a bug report: pem-doctor --json")


def test_the_command_itself_imports_none_of_the_libraries_that_may_be_broken() -> None:
    code = (
        "import sys; from pem_edge.runtime.cli.doctor import main; code = main(['--json']); "
        "print(code, *sorted({'numpy', 'cv2', 'PIL', 'onnxruntime', 'openvino', 'torch'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=200)
    assert done.stdout.splitlines()[-1] == "0"
