"""What cannot be built is refused before it costs time: one line with the cure."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from pem_edge.export.engine.tensorrt.targets import TARGETS
from pem_edge.runtime.installation import distributions, how_to_install
from pem_edge.runtime.installation.distributions import Requirement
from tests.export.conftest import Refusal
from tests.helpers.gpu import has_gpu
from tests.runtime.conftest import Builder, build

__all__ = ["build"]

needs_rtx = pytest.mark.skipif(find_spec("tensorrt_rtx") is None, reason="TensorRT-RTX is not installed")
STAND_IN = "from tensorrt_rtx import *\nfrom tensorrt_rtx import __version__\n"
"""TensorRT-RTX by TensorRT's name, with which it shares its interface."""


@needs_rtx
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--size", "64x96"], "--size is fixed in"),
        (["--precision", "fp16"], "--precision is fixed in"),
        (["--compute-capability", "9.0"], "choose of 7.5, 8.0"),
        (["--version-compatible"], "TensorRT-RTX has no --version-compatible"),
        (["--hardware-compatible", "ampere+"], "use --compute-capability instead"),
        (["--timing-cache", "times.cache"], "TensorRT-RTX has no --timing-cache"),
        (["-o", "/dev/null/out"], "cannot write"),
    ],
)
def test_options_that_contradict_are_refused(arguments: list[str], expected: str, onnx: Path, refusal: Refusal) -> None:
    assert expected in refusal("--weights", onnx, "--to", "trt-rtx", *arguments)
    assert [path.name for path in onnx.parent.iterdir()] == [onnx.name]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--to", "trt-rtx", "--deform-conv", "native"], "trt-rtx has no plugins; choose gather, or --to trt"),
        (["--to", "trt-rtx", "--deform-conv", "plugin"], "trt-rtx has no plugins"),
        (["--to", "onnx", "--workspace", "1G"], "--workspace is for engines"),
        (["--to", "onnx", "--compute-capability", "8.6"], "--compute-capability is for engines"),
        (["--to", "onnx", "-o", "x.engine"], "x.engine names an engine: add --to trt"),
        (["--outputs", "float16"], "add --precision fp16"),
        (["--cuda-arch", "87"], "add --build-plugin"),
    ],
)
def test_options_of_another_target_are_refused(arguments: list[str], expected: str, refusal: Refusal) -> None:
    assert expected in refusal("--weights", "demo", *arguments)


def test_an_onnx_is_not_exported_to_onnx(onnx: Path, refusal: Refusal) -> None:
    assert "is an ONNX artifact already: choose --to trt" in refusal("--weights", onnx, "--to", "onnx")


@needs_rtx
def test_an_engine_is_no_source(tmp_path: Path, refusal: Refusal) -> None:
    (tmp_path / "x.engine").write_bytes(b"engine")
    assert "give the .onnx beside it" in refusal("--weights", tmp_path / "x.engine", "--to", "trt-rtx")


@pytest.mark.skipif(find_spec("tensorrt") is not None, reason="TensorRT is installed")
@pytest.mark.parametrize("weights", ["demo", "onnx"])
def test_without_tensorrt_that_is_said_first(weights: str, onnx: Path, refusal: Refusal) -> None:
    said = refusal("--weights", onnx if weights == "onnx" else weights, "--to", "trt")
    assert "tensorrt is not installed, which --to trt needs: run this where the engine will run" in said
    assert "JetPack has it, elsewhere pip install tensorrt" in said
    assert said.endswith("; for a desktop GPU, choose --to trt-rtx") == (platform.machine() == "x86_64")


@pytest.mark.parametrize("there", [True, False])
def test_the_rest_of_what_tensorrt_needs_is_named_where_it_is_missing(
    there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = [Requirement("onnx", ">=1"), Requirement("polygraphy", ">=0")]
    monkeypatch.setattr(distributions, "requirements", lambda _extra: needed)
    monkeypatch.setattr(distributions, "installed", lambda: {"onnx": "1.0", **({"polygraphy": "1"} if there else {})})
    assert (how_to_install("trt") in TARGETS["trt"].cure) != there


@pytest.mark.skipif(find_spec("tensorrt") is not None, reason="TensorRT is installed")
def test_tensorrt_rtx_is_not_proposed_for_what_it_refuses(build: Builder, refusal: Refusal) -> None:
    plugin = build(lone=True, deform_conv="plugin")
    assert "choose --to trt-rtx" not in refusal("--weights", plugin, "--to", "trt")
    assert "choose --to trt-rtx" not in refusal("--weights", "demo", "--deform-conv", "native", "--to", "trt")
    assert "choose --to trt-rtx" not in refusal("--weights", "demo", "--version-compatible", "--to", "trt")
    assert "has no plugins" in refusal("--weights", plugin, "--to", "trt-rtx")
    said = refusal("--weights", "demo", "--compute-capability", "8.7", "--to", "trt")
    assert "leave it out, and build on the GPU that the engine is for" in said


@needs_rtx
@pytest.mark.skipif(has_gpu(), reason="there is a GPU")
def test_without_a_gpu_tensorrt_is_refused(onnx: Path) -> None:
    said = command(onnx, f"from pem_edge.export.cli.export import main; main({arguments(onnx)})")
    assert said.startswith("pem-export: TensorRT builds on the GPU that the engine is for, but no NVIDIA GPU")
    assert "choose --to trt-rtx" in said


@needs_rtx
def test_one_process_drives_one_of_the_two(onnx: Path) -> None:
    load = "from pem_edge.export.engine.tensorrt import targets; targets.load(targets.TARGETS['trt-rtx'])"
    said = command(onnx, f"{load}; from pem_edge.export.cli.export import main; main({arguments(onnx)})")
    assert "has built for TensorRT-RTX: build for TensorRT in another process" in said


@needs_rtx
def test_neither_torch_nor_onnx_is_needed_to_build_from_an_onnx(onnx: Path) -> None:
    build = f"from pem_edge.export.cli.export import main; raise SystemExit(main({[*arguments(onnx)[:-1], 'trt-rtx']}))"
    command(onnx, f"import sys; sys.modules.update(torch=None, onnx=None, onnxruntime=None); {build}")
    assert onnx.with_suffix(".engine").exists()


def test_a_damaged_tensorrt_is_to_be_installed_again(onnx: Path) -> None:
    main = f"from pem_edge.export.cli.export import main; main({arguments(onnx)})"
    said = command(onnx, main, "raise ImportError('libnvinfer.so.10: cannot open shared object file')\n")
    assert "TensorRT is installed but cannot be imported (libnvinfer.so.10: cannot open shared object file)" in said
    assert said.endswith(": install it again, with pip install --force-reinstall tensorrt, or on a Jetson with JetPack")


def test_without_torch_a_checkpoint_is_refused(onnx: Path) -> None:
    main = "from pem_edge.export.cli.export import main; main(['--weights', 'demo'])"
    said = command(onnx, f"import sys; sys.modules.update(torch=None); {main}")
    assert f"checkpoints need PyTorch, which is not installed: {how_to_install('export')}" in said


def arguments(onnx: Path) -> list[str]:
    return ["--weights", str(onnx), "--to", "trt"]


def command(onnx: Path, program: str, tensorrt: str = STAND_IN) -> str:
    """Return the last line on standard error of a process that has a stand-in for TensorRT."""
    stand_in = onnx.parent / "stand-in" / "tensorrt"
    stand_in.mkdir(parents=True)
    (stand_in / "__init__.py").write_text(tensorrt)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(stand_in.parent), str(Path.cwd())])}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    return done.stderr.splitlines()[-1]
