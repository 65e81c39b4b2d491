"""OpenVINO computes in the type, and on the CPUs, that are asked for, or says that it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pem_edge import runtime
from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.backends import Settings
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.machine import cpu, threads

pytest.importorskip("openvino", reason="OpenVINO is not installed")

from pem_edge.runtime.backends.openvino import backend, core  # OpenVINO is there


def test_openvino_ties_threads_to_cpus_only_if_it_uses_all_cores(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave single threads free: those of two processes would share the first CPU while others are idle."""
    found = artifact.read(tiny)
    monkeypatch.setattr(threads, "choose", lambda: threads.Choice(1, 2, "made up"))
    assert backends.create("openvino", found).settings()["pinning"] is False
    assert backends.create("openvino", found, Settings(threads=1)).settings()["pinning"] is False
    monkeypatch.setattr(threads, "choose", lambda: threads.Choice(1, 1, "made up"))
    options = {"INFERENCE_NUM_THREADS": "1", "PERFORMANCE_HINT": "LATENCY"}
    usual = core().compile_model(str(tiny), "CPU", options)
    assert backends.create("openvino", found).settings()["pinning"] is usual.get_property("ENABLE_CPU_PINNING")


@pytest.mark.parametrize(
    "features", [{"avx2", "avx512f"}, {"asimd", "bf16", "svebf16"}, set()], ids=["x86", "Arm", "?"]
)
def test_bfloat16_is_refused_where_nothing_computes_in_it(
    tiny: Path, features: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Arm, OpenVINO would compute in single precision."""
    monkeypatch.setattr(cpu, "features", lambda: frozenset(features))
    with pytest.raises(BackendError, match="on CPUs with amx_bf16 or avx512_bf16, unlike this one: leave"):
        runtime.load(tiny, "openvino", bf16=True)
    with pytest.raises(BackendError, match="onnxruntime does not compute in bfloat16: leave bf16 out"):
        runtime.load(tiny, "onnxruntime", bf16=True)


def test_bfloat16_that_openvino_does_not_compute_in_is_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "features", lambda: frozenset({"amx_bf16"}))
    monkeypatch.setattr(backend, "_precision", lambda _model: "f32")
    with pytest.raises(BackendError, match="OpenVINO computes in f32 instead of bf16 on this CPU: leave bf16 out"):
        runtime.load(tiny, "openvino", bf16=True)


def test_bfloat16_is_in_force_where_the_processor_has_it(tiny: Path) -> None:
    if not cpu.BF16 & cpu.features():
        pytest.skip("this CPU does not compute in bfloat16")
    with runtime.load(tiny, "openvino", bf16=True) as segmenter:
        assert segmenter.backend.settings()["precision"] == "bf16"
        assert "tiny, openvino in bfloat16, " in repr(segmenter)


def test_loading_openvino_reports_nothing_to_anyone() -> None:
    code = """
import sys, pem_edge.runtime.backends.openvino, openvino, openvino.tools.ovc.telemetry_utils as utils
print(utils.tm.__name__, "openvino_telemetry" in sys.modules)
"""
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["openvino.tools.ovc.telemetry_stub", "False"]
