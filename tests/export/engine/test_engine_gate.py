"""An engine that answers wrongly is handed to nobody: not by a build, nor by --verify, nor by the runtime after it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pem_edge import runtime
from pem_edge.export.cli import export
from pem_edge.export.engine import artifact as engine_artifact
from pem_edge.export.engine import machine
from pem_edge.export.engine.build import Built
from pem_edge.export.engine.layers import Report
from pem_edge.export.engine.tensorrt.targets import TARGETS
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.manifest import InputSpec, Range, manifest_path
from pem_edge.runtime.artifacts.provenance import Verification
from pem_edge.runtime.artifacts.sections import FileHash
from pem_edge.runtime.backends.cuda.driver import Gpu
from pem_edge.runtime.cli import run
from pem_edge.runtime.errors import VerificationError
from pem_edge.runtime.verification import standing
from reference.cuda_simulation.cuda import Cuda
from tests.export.conftest import Refusal
from tests.helpers.tensorrt_bindings.simulated_engine import Fault
from tests.runtime.backends.tensorrt.engine_bench import Builder, SimulatedBench, simulation
from tests.runtime.conftest import build, flag

__all__ = ["build", "flag"]

SPEC = InputSpec(
    height=64,
    width=96,
    dynamic_batch=Range(1, 1, 3),
    dynamic_height=Range(32, 64, 128),
    dynamic_width=Range(32, 96, 128),
)
FAULTS: list[tuple[Fault, str]] = [
    ("swaps two slots", "at 32x32 in slot 0 of 3 is the result of slot 1: export with --max-batch 1"),
    ("perturbs one output", "everywhere mask logits differ by up to 0.5 (limit 0.005), class logits agree"),
    ("drifts at the largest size", "right at 32x32, 64x96, wrong at 128x128"),
    ("gives NaN", "its values are not finite at 32x32 in slot 0 of 1"),
    ("fails above one", "right in batches of 1, wrong in batches of 3, 2"),
    ("repeats its first result", "of pixels agree (limit 98%)"),
]
each_fault = pytest.mark.parametrize(("fault", "said"), FAULTS)


@pytest.fixture(params=["tensorrt", "tensorrt-rtx"])
def bench(
    request: pytest.FixtureRequest, build: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SimulatedBench]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    standing._tell.cache_clear()
    standing._here.clear()
    with simulation(SimulatedBench(request.param, build, tmp_path, Cuda()), monkeypatch) as found:
        yield found


@pytest.fixture
def build_engine(bench: SimulatedBench, build: Builder, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return a function that gives the arguments which build an engine with a fault, or with none."""
    target = "trt" if bench.name == "tensorrt" else "trt-rtx"
    module: Any = bench.tensorrt.module  # it has what running needs, and building is replaced

    def arguments(fault: Fault | None = None, spec: InputSpec = SPEC, gpu: bool = True) -> list[str]:
        onnx = build(spec, lone=True)
        here = machine.Machine(TARGETS[target], module, Gpu() if gpu else None)
        data = bench.serialize(onnx.read_bytes(), spec, fault=fault)
        built = Built(memoryview(data), Report("network", [], []), None, 0.1)
        monkeypatch.setattr(machine, "prepare", lambda _name, _settings, _form: here)
        monkeypatch.setattr(machine.Machine, "compute_capabilities", lambda _self, _settings: ("8.9",))
        monkeypatch.setattr(engine_artifact, "build", lambda *_arguments: built)
        return ["--weights", str(onnx), "--to", target]

    return arguments


def verified(engine: Path, backend: str) -> Verification:
    found = artifact.read(engine).manifest.verified[backend]
    assert isinstance(found, Verification)
    return found


@each_fault
def test_a_build_writes_nothing_that_is_wrong(
    fault: Fault, said: str, build_engine: Callable[..., list[str]], refusal: Refusal, tmp_path: Path
) -> None:
    line = refusal(*build_engine(fault))
    assert said in line
    assert "and was not written" in line
    assert "--deform-conv gather" in line
    assert {path.name for path in tmp_path.iterdir()} <= {"tiny.onnx", "cache"}


def test_a_build_that_is_right_says_what_was_measured(
    build_engine: Callable[..., list[str]], bench: SimulatedBench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export.main(build_engine()) == 0
    assert "verified on Simulated GPU A, against the ONNX in onnxruntime" in capsys.readouterr().out
    found = verified(bench.folder / "tiny.engine", bench.name)
    assert found.parity.passed
    places = {(each.size, each.batch, each.slot) for each in found.parity.each}
    assert places == {
        *(("32x32", batch, slot) for batch in (1, 3) for slot in range(batch)),
        *(("64x96", batch, slot) for batch in (1, 2, 3) for slot in range(batch)),
        *(("128x128", 3, slot) for slot in range(3)),
    }


def test_json_has_the_figures(build_engine: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert export.main([*build_engine(), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["verified"].values()
    assert found["gpu"] == "Simulated GPU A"
    assert found["parity"]["worst"]["agreement"] == 1


def test_without_a_gpu_the_manifest_says_that_nothing_was_verified(
    build_engine: Callable[..., list[str]], bench: SimulatedBench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export.main(build_engine(gpu=False)) == 0
    assert "not verified yet; next: pem-export --verify" in capsys.readouterr().out
    assert artifact.read(bench.folder / "tiny.engine").manifest.verified == {bench.name: "not verified yet"}


@each_fault
def test_verify_finds_what_is_wrong_and_the_runtime_then_refuses_it(
    fault: Fault, said: str, bench: SimulatedBench, refusal: Refusal
) -> None:
    engine = bench.engine(SPEC, options={"fault": fault})
    assert said in refusal("--verify", engine)
    assert not verified(engine, bench.name).parity.passed
    with pytest.raises(VerificationError, match="was found to compute something else"):
        runtime.load(engine)


def test_verify_of_what_is_right_is_kept_and_the_runtime_is_silent_then(
    bench: SimulatedBench, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    engine = bench.engine(SPEC)
    assert export.main(["--verify", str(engine)]) == 0
    assert f"is verified in {bench.name} on Simulated GPU A" in capsys.readouterr().out
    with caplog.at_level(logging.WARNING), runtime.load(engine):
        assert caplog.messages == []


def test_the_first_load_of_what_is_not_verified_says_so_in_one_line(
    bench: SimulatedBench, caplog: pytest.LogCaptureFixture
) -> None:
    engine = bench.engine(SPEC)
    for _ in range(2):
        with runtime.load(engine):
            pass
    (line,) = caplog.messages
    assert "has not been verified" in line
    assert f"pem-export --verify {engine} --backend {bench.name}" in line


def test_another_gpu_has_to_be_verified_as_well(bench: SimulatedBench, caplog: pytest.LogCaptureFixture) -> None:
    engine = bench.engine(SPEC)
    assert export.main(["--verify", str(engine)]) == 0
    bench.machine.names[0] = b"Simulated GPU C\0"
    with runtime.load(engine):
        assert "has not been verified in" in caplog.text


def test_another_version_has_to_verify_as_well(bench: SimulatedBench, caplog: pytest.LogCaptureFixture) -> None:
    engine = bench.engine(SPEC, options={"fault": "gives NaN"})
    assert export.main(["--verify", str(engine)]) == 1
    standing._here.clear()
    edited = artifact.read(engine).manifest
    before = msgspec.structs.replace(verified(engine, bench.name), version="0.1")
    manifest_path(engine).write_bytes(msgspec.structs.replace(edited, verified={bench.name: before}).to_json())
    with runtime.load(engine):
        assert "has not been verified in" in caplog.text


def test_pem_run_verifies_on_the_way(
    bench: SimulatedBench, flag: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(flag).save(tmp_path / "flag.png")
    arguments = [str(tmp_path / "flag.png"), "--verify", "-o", str(tmp_path / "out")]
    right = bench.engine(SPEC, "right")
    assert run.main([str(right), *arguments]) == 0
    assert "is verified" in capsys.readouterr().err
    assert verified(right, bench.name).parity.passed
    wrong = bench.engine(SPEC, "wrong", options={"fault": "swaps two slots"})
    assert run.main([str(wrong), *arguments, "--overwrite"]) == 1
    assert "is the result of slot 1" in capsys.readouterr().err


def test_the_onnx_must_be_the_one_that_the_engine_was_built_from(
    bench: SimulatedBench, build: Builder, refusal: Refusal
) -> None:
    engine = bench.engine(SPEC)
    onnx = engine.with_suffix(".onnx")
    onnx.rename(onnx.with_suffix(".aside"))
    assert "tiny.onnx is missing, from which" in refusal("--verify", engine)
    onnx.with_suffix(".aside").rename(onnx)
    build(InputSpec(height=32, width=32), "other", lone=True).replace(onnx)
    line = refusal("--verify", engine)
    assert "has changed since" in line
    assert "build it again, with pem-export --weights" in line


@pytest.mark.parametrize("name", ["../tiny.onnx", "", "..", "a\\b"])
def test_the_onnx_lies_beside_the_engine(name: str, bench: SimulatedBench, refusal: Refusal) -> None:
    engine = bench.engine(SPEC)
    bench.describe(engine, {"source": FileHash(name, "0" * 64)})
    assert "expected the name of a file beside it" in refusal("--verify", engine)


def test_an_engine_of_another_gpu_is_not_verified(bench: SimulatedBench, refusal: Refusal) -> None:
    engine = bench.engine(SPEC, about={"compute_capabilities": ("12.0",)})
    assert "is for GPUs of compute capability 12.0" in refusal("--verify", engine)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.engine", None, "does not exist"),
        ("text.txt", b"hello", "has the suffix '.txt'"),
        ("noise.engine", b"hello", "has no manifest"),
        ("weights.pth", b"hello", "is a checkpoint"),
    ],
)
def test_what_is_no_engine_is_refused_in_a_line(
    name: str, content: bytes | None, said: str, tmp_path: Path, refusal: Refusal
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert said in refusal("--verify", tmp_path / name)


def test_what_no_file_can_be_called_is_refused_in_a_line(
    flag: NDArray[np.uint8], tmp_path: Path, refusal: Refusal, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = "a\\x00b does not exist: give"
    assert expected in refusal("--verify", "a\0b")
    Image.fromarray(flag).save(tmp_path / "flag.png")
    assert run.main(["a\0b", str(tmp_path / "flag.png"), "--verify", "-o", str(tmp_path / "out")]) == 1
    assert expected in capsys.readouterr().err


def test_an_onnx_on_the_cpu_is_what_others_are_compared_with(
    build: Builder, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pem_edge.runtime.backends.available", lambda: ["onnxruntime"])
    assert "is what others are compared with: verify an engine" in refusal("--verify", build(SPEC))
