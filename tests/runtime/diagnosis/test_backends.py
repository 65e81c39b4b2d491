"""Backends that work are measured and compared; those that do not are told with the reason, and take nothing down."""

from __future__ import annotations

import base64
import zlib

import pytest
from msgspec.structs import replace

from pem_edge.runtime.backends import BACKENDS
from pem_edge.runtime.diagnosis import libraries, verdict
from pem_edge.runtime.diagnosis.asking import Answer
from pem_edge.runtime.diagnosis.schema import BackendFinding, Finding
from pem_edge.runtime.diagnosis.trials import backends, demo_run
from pem_edge.runtime.diagnosis.trials.demo_run import Outcome
from tests.runtime.diagnosis.conftest import Write

pytest.importorskip("openvino", reason="OpenVINO is not installed, beside which fakes stand here")
pytest.importorskip("cuda.bindings", reason="cuda-bindings is not installed")

CRASHING = """
import ctypes, sys
from types import ModuleType
__version__ = "2099.1.0-build"
opset8, frontend = ModuleType("openvino.opset8"), ModuleType("openvino.frontend")
frontend.ConversionExtension, frontend.NodeContext = print, object
sys.modules |= {"openvino.opset8": opset8, "openvino.frontend": frontend}
class Core:
    def add_extension(self, extension):
        pass
    def read_model(self, model):
        ctypes.string_at(0)
    def compile_model(self, *model):
        pass
"""


WORKS = BackendFinding(status="ok", value="", installed=True, works=True, device="cpu", milliseconds=30.0)
ABSENT = BackendFinding(status="info", value="not installed")


def outcome(*classes: int, correct: float = 0.9) -> Outcome:
    packed = base64.b64encode(zlib.compress(bytes(classes))).decode()
    return Outcome(device="cpu", milliseconds=10.0, correct=correct, classes=packed)


def test_real_backends_run_the_demo_model_and_agree() -> None:
    found = backends.examine()
    assert list(found) == list(BACKENDS)
    for name in ("onnxruntime", "openvino"):
        each = found[name]
        assert (each.status, each.works, each.device, each.installed) == ("ok", True, "cpu", True), each
        assert (each.milliseconds or 0.0) > 0
        assert (each.correct or 0.0) > 0.9
    assert found["onnxruntime"].agreement is None
    assert (found["openvino"].agreement or 0.0) > 0.99


def test_a_backend_that_crashes_while_it_runs_takes_nothing_down(library: Write) -> None:
    library("openvino", CRASHING)
    found = backends.examine()
    crashed = found["openvino"]
    assert (crashed.status, crashed.works, crashed.version) == ("broken", False, "2099.1.0")
    assert "failed to run the demo model: crashed with signal 11 (SIGSEGV)" in crashed.value
    assert crashed.cure == "pip install --force-reinstall openvino"
    assert found["onnxruntime"].works is True
    (error,) = verdict.errors({}, found)
    assert error.startswith("backend openvino: 2099.1.0, failed to run the demo model: crashed with signal 11")


def test_a_library_that_cannot_be_imported_is_not_tried(library: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def run(name: str) -> Answer[Outcome]:
        tried.append(name)
        return Answer(content=outcome(1, 2))

    monkeypatch.setattr(demo_run, "try_backend", run)
    library("onnxruntime", "raise ImportError('undefined symbol: OrtGetApiBase')")
    found = backends.examine()["onnxruntime"]
    assert (found.status, found.installed, found.works, found.version) == ("broken", True, False, None)
    assert found.value == "installed, but cannot be imported (ImportError: undefined symbol: OrtGetApiBase)"
    assert tried == ["openvino"]


def test_engines_without_a_gpu_are_no_fault(monkeypatch: pytest.MonkeyPatch, library: Write) -> None:
    library("tensorrt", "__version__ = '10.3.0'")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    found = dict(backends._untried())["tensorrt"]
    assert (found.status, found.installed, found.works, found.version) == ("info", True, None, "10.3.0")
    assert "no NVIDIA GPU with a driver can be used here" in found.value


GPU = {"gpu": "Orin", "compute_capability": "8.7", "driver": "12.6"}


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let CUDA find a GPU; everything else is asked as ever."""
    ask = libraries.ask
    monkeypatch.setattr(libraries, "ask", lambda name: Answer(content=GPU) if name == "cuda" else ask(name))


@pytest.mark.usefixtures("on_a_gpu")
def test_engines_on_a_gpu_are_ready_and_the_way_to_try_one_is_told(library: Write) -> None:
    library("tensorrt", "__version__ = '10.3.0'")
    found = dict(backends._untried())["tensorrt"]
    assert (found.status, found.works, found.device) == ("ok", None, "gpu")
    assert found.value == "10.3.0, Orin of compute capability 8.7; not tried"
    assert (found.cure or "").startswith("to try it, pem-export --weights demo --to trt -o out && pem-run ")
    assert verdict.verdict({}, dict.fromkeys(BACKENDS, ABSENT) | {"tensorrt": found}) == (
        "Ready to run engines of tensorrt on the GPU."
    )


@pytest.mark.usefixtures("on_a_gpu")
def test_a_gpu_that_onnxruntime_gpu_does_not_use_is_told(package: Write) -> None:
    package("onnxruntime-gpu", "Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.25.0\n")
    found = backends._judge(BACKENDS["onnxruntime"], Answer(content=outcome(1)), None)
    assert (found.status, found.works) == ("warning", True)
    assert "onnxruntime-gpu does not use the GPU: another onnxruntime overwrote it" in found.value
    assert (found.cure or "").startswith("pip uninstall -y onnxruntime")
    assert "ort-gpu" in (found.cure or "")


def test_a_backend_that_computes_something_else_is_broken() -> None:
    row, reference = BACKENDS["openvino"], backends._Reference("onnxruntime", outcome(1, 1, 1, 2))
    same = backends._judge(row, Answer(content=outcome(1, 1, 1, 2)), reference)
    assert (same.works, same.agreement, same.status) == (True, 1.0, "ok")
    other = backends._judge(row, Answer(content=outcome(1, 1, 2, 1)), reference)
    assert (other.works, other.agreement, other.status) == (False, 0.5, "broken")
    wrong = backends._judge(row, Answer(content=outcome(1, 1, correct=0.2)), None)
    assert (wrong.works, wrong.correct, wrong.status) == (False, 0.2, "broken")
    crashed_later = backends._judge(row, Answer(content=outcome(1), failure="at the end, crashed"), None)
    assert (crashed_later.works, crashed_later.status) == (False, "broken")


def test_verdicts() -> None:
    nothing = dict.fromkeys(BACKENDS, ABSENT)
    assert verdict.verdict({}, nothing).startswith("Not ready: no backend works -> pip install ")
    assert verdict.errors({}, nothing)[0].startswith("no backend works here -> pip install ")
    one = nothing | {"onnxruntime": WORKS}
    assert verdict.errors({}, one) == ()
    assert verdict.verdict({}, one) == (
        "Ready to run .onnx on the CPU (onnxruntime); engines cannot run here: neither TensorRT nor TensorRT-RTX is "
        "installed."
    )
    engine = BackendFinding(status="ok", value="", installed=True, device="gpu")
    both = one | {"openvino": replace(WORKS, milliseconds=20.0), "tensorrt": engine}
    assert verdict.verdict({}, both) == (
        "Ready to run .onnx on the CPU (openvino is the fastest) and engines of tensorrt on the GPU."
    )


def test_what_is_broken_is_counted_and_named() -> None:
    broken = Finding(name="NumPy", value="cannot be imported (x)", status="broken", cure="pip install numpy")
    found = dict.fromkeys(BACKENDS, ABSENT) | {"onnxruntime": WORKS}
    sections = {"packages": {"numpy": broken}}
    assert verdict.errors(sections, found) == ("NumPy: cannot be imported (x) -> pip install numpy",)
    assert verdict.verdict(sections, found).endswith("; to repair: 1, marked above.")
