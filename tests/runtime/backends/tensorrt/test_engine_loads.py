"""An engine is loaded only if its manifest has its hash and this machine can run it; otherwise one line says why."""

from __future__ import annotations

import gc
import hashlib
import re
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.sections import FileHash
from pem_edge.runtime.backends.cuda import driver
from pem_edge.runtime.backends.tensorrt import log
from pem_edge.runtime.errors import ArtifactError, BackendError
from pem_edge.runtime.files import sha256
from tests.helpers.tensorrt_bindings.simulated_tensorrt import NVIDIAS, OURS
from tests.runtime.backends.tensorrt.engine_bench import Bench, Builder, SimulatedBench, build_with

REBUILD = r"build it again, with pem-export --weights \S*/tiny\.onnx --to trt(-rtx)? --overwrite$"
ONE = np.zeros((1, 64, 96, 3), np.uint8)


def refusal(bench: Bench, path: Path) -> str:
    """Return the message, of one line, with which loading ``path`` fails."""
    with pytest.raises((ArtifactError, BackendError)) as caught:
        bench.load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("version", ["10.3.1", "10.3", "9.9", "1.6.0"])
def test_an_engine_of_another_version(simulated: SimulatedBench, version: str) -> None:
    line = refusal(simulated, simulated.engine(about={"version": version}))
    assert re.search(f"was built by TensorRT(-RTX)? {version}, which is {simulated.version} here: {REBUILD}", line)


@pytest.mark.parametrize(("version", "loads"), [("10.9.0", True), ("9.3.0", False)])
def test_version_compatible_engines_work_within_a_major_version(
    simulated: SimulatedBench, version: str, loads: bool
) -> None:
    version = version.replace("10", simulated.version.split(".")[0])
    path = simulated.engine(about={"version": version, "version_compatible": True})
    if loads:
        simulated.load(path)(ONE)
    else:
        assert f"was built by TensorRT {version}" in refusal(simulated, path).replace("-RTX", "")


def test_an_engine_for_other_gpus(simulated: SimulatedBench) -> None:
    line = refusal(simulated, simulated.engine(about={"compute_capabilities": ("8.7", "12.0")}))
    what, _, cure = line.partition(": ")
    assert what.endswith("is for GPUs of compute capability 8.7, 12.0, Simulated GPU A has 8.9")
    rebuild, more, _ = cure.partition(" --compute-capability 8.9")
    assert re.search(REBUILD, rebuild)
    assert bool(more) == (simulated.name == "tensorrt-rtx")  # which builds for those that it is told


@pytest.mark.parametrize(
    ("level", "here", "loads"),
    [("ampere+", (8, 9), True), ("ampere+", (7, 5), False), ("same-cc", (8, 9), False), ("same-cc", (8, 7), True)],
)
def test_hardware_compatible_engines(simulated: SimulatedBench, level: str, here: tuple[int, int], loads: bool) -> None:
    simulated.machine.capabilities[0] = here
    path = simulated.engine(about={"compute_capabilities": ("8.7",), "hardware_compatible": level})
    if loads:
        simulated.load(path)(ONE)
    else:
        assert "is for GPUs of compute capability 8.7, Simulated GPU A has" in refusal(simulated, path)


def test_a_source_whose_name_needs_quotes_in_a_shell(simulated: SimulatedBench) -> None:
    path = simulated.engine(about={"version": "9.9", "source": FileHash("my model.onnx", "0" * 64)})
    assert re.search(r"pem-export --weights '\S*/my model\.onnx' --to", refusal(simulated, path))


def test_an_edited_engine_is_not_deserialized(simulated: SimulatedBench) -> None:
    path = simulated.engine()
    path.write_bytes(path.read_bytes() + b"x")
    assert "its manifest vouches for" in refusal(simulated, path)


def test_an_engine_replaced_after_its_manifest_was_read(simulated: SimulatedBench) -> None:
    path = simulated.engine()
    found = artifact.read(path)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ArtifactError, match="has changed since its manifest was read: load it again"):
        backends.create(simulated.name, found)


def test_tensorrts_own_first_error_is_passed_on(simulated: SimulatedBench) -> None:
    path = simulated.engine()
    path.write_bytes(path.read_bytes()[:-100])
    simulated.describe(path, {})  # a manifest that vouches for what is left
    line = refusal(simulated, path)
    assert re.search(rf"\(Error Code 1: Serialization assertion .*blobSize failed\.\): {REBUILD}", line)


def test_tensors_that_differ_from_the_manifest(simulated: SimulatedBench) -> None:
    line = refusal(simulated, simulated.engine(options={"half": True}))
    assert re.search(f"'logits': 'float16'.*, its manifest says .*'logits': 'float32'.*: {REBUILD}", line)


def test_outputs_that_differ_from_the_manifest(simulated: SimulatedBench) -> None:
    backend = simulated.load(simulated.engine(queries=4))
    with pytest.raises(BackendError, match=r"returned logits and masks of shapes .* its manifest says"):
        backend(ONE)  # before it can write more than there is room for


def test_no_driver(simulated: SimulatedBench) -> None:
    simulated.machine.driver = False
    line = refusal(simulated, simulated.engine())
    assert re.search(r"no NVIDIA GPU .* \(cudaErrorInsufficientDriver\): check nvidia-smi, or run the", line)


def test_no_gpu(simulated: SimulatedBench) -> None:
    simulated.machine.names.clear()
    assert "no NVIDIA GPU with a driver can be used here (none is visible)" in refusal(simulated, simulated.engine())


def test_no_cuda_bindings(simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch) -> None:
    path = simulated.engine()
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    assert "pip install cuda-bindings" in refusal(simulated, path)


def test_tensorrt_without_its_libraries(simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch) -> None:
    path, name = simulated.engine(), simulated.tensorrt.module.__name__
    folder = simulated.folder / "site"
    folder.mkdir()
    (folder / f"{name}.py").write_text("raise ImportError('libnvinfer.so.10: cannot open\\nshared object file')")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, name)
    line = refusal(simulated, path)
    assert f"{name} is installed but cannot be imported (libnvinfer.so.10: cannot open shared object file)" in line


class TestPlugin:
    """Tests of loading the plugin's library."""

    @staticmethod
    def engine(bench: SimulatedBench, text: str = OURS, **plugin: Any) -> Path:
        """Return an engine that needs the plugin, beside a library."""
        if bench.name == "tensorrt-rtx":
            pytest.skip("TensorRT-RTX has no plugins")
        library = bench.folder / "deform_conv.so"
        library.write_text(text)
        vouched = FileHash(**{"file": library.name, "sha256": hashlib.sha256(text.encode()).hexdigest(), **plugin})
        return bench.engine(options={"needs": OURS}, about={"plugin": vouched}, deform_conv="plugin")

    def test_it_is_loaded_once_for_all_engines(self, simulated: SimulatedBench) -> None:
        path = self.engine(simulated)
        for _ in range(2):
            simulated.load(path)(ONE)
        assert len(simulated.tensorrt.libraries) == 1

    def test_its_bytes_are_loaded_from_where_nobody_can_replace_them(
        self, simulated: SimulatedBench, caplog: pytest.LogCaptureFixture
    ) -> None:
        simulated.load(self.engine(simulated))
        (loaded,) = simulated.tensorrt.libraries
        assert not Path(loaded).is_relative_to(simulated.folder)
        assert "is code and runs with your rights" in caplog.text

    def test_only_listed_files_are_loaded_where_there_is_a_list(
        self, simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, listed = self.engine(simulated), simulated.folder / "trusted"
        library = simulated.folder / "deform_conv.so"
        monkeypatch.setenv("PEM_EDGE_TRUSTED", str(listed))
        assert "trusted does not exist, expected a list of hashes" in refusal(simulated, path)
        for lines, refused in (("", library), (f"{sha256(library)}  {library}\n", path)):
            listed.write_text(lines)
            assert re.search(rf"{refused} \(SHA-256 .*\) is not in {listed}", refusal(simulated, path))
        listed.write_text(f"{sha256(library)}  {library}\n\n{sha256(path).upper()}\n")
        simulated.load(path)(ONE)

    def test_missing(self, simulated: SimulatedBench) -> None:
        path = self.engine(simulated)
        (simulated.folder / "deform_conv.so").unlink()
        assert re.search(
            "the plugin .*deform_conv.so is missing: put it back beside the engine, or build both again, with "
            r"pem-export --build-plugin and pem-export --weights \S*/tiny.onnx --to trt --overwrite$",
            refusal(simulated, path),
        )

    def test_edited(self, simulated: SimulatedBench) -> None:
        path = self.engine(simulated)
        (simulated.folder / "deform_conv.so").write_text(f"{OURS} edited")
        assert re.search("has SHA-256 .*, the engine needs .*, which is another build", refusal(simulated, path))
        assert simulated.tensorrt.libraries == []

    def test_a_name_that_leads_elsewhere(self, simulated: SimulatedBench) -> None:
        for name in ("../deform_conv.so", str(simulated.folder / "deform_conv.so"), "..", "", "a\\b.so"):
            path = self.engine(simulated, file=name)
            assert "expected the name of a file beside the engine" in refusal(simulated, path)

    def test_another_build_in_the_same_process(self, simulated: SimulatedBench) -> None:
        simulated.load(self.engine(simulated))
        assert "has loaded another build of it: start another process" in refusal(
            simulated, self.engine(simulated, f"{OURS}, built again")
        )

    def test_a_library_that_tensorrt_does_not_take(self, simulated: SimulatedBench) -> None:
        assert "TensorRT cannot load the plugin" in refusal(simulated, self.engine(simulated, "something else"))


def test_nvidias_plugins_are_registered_for_its_form(simulated: SimulatedBench) -> None:
    if simulated.name == "tensorrt":
        simulated.load(simulated.engine(options={"needs": NVIDIAS}, deform_conv="native"))(ONE)
    else:  # registering any would end the process
        assert "in the form 'native', which tensorrt-rtx cannot run" in refusal(
            simulated, simulated.engine(deform_conv="native")
        )
        assert simulated.tensorrt.creators == set()


def test_nothing_is_printed(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    path = bench.engine()
    capfd.readouterr()
    bench.load(path)(ONE)
    assert capfd.readouterr() == ("", "")


def test_refused_engines_leave_nothing_behind(simulated: SimulatedBench) -> None:
    refusal(simulated, simulated.engine(options={"half": True}))
    gc.collect()
    assert simulated.machine.leaks() == []


needs_rtx = pytest.mark.skipif(find_spec("tensorrt_rtx") is None, reason="tensorrt-rtx is not installed")


@needs_rtx
def test_the_real_tensorrt_rtx_refuses_without_printing(build: Builder, capfd: pytest.CaptureFixture[str]) -> None:
    """Load a truncated engine, and check TensorRT-RTX's error."""
    import tensorrt_rtx as trt

    path = build()
    engine = build_with(trt, path.read_bytes(), (1, 64, 96, 3), (1, 64, 96, 3))
    capfd.readouterr()
    runtime = trt.Runtime(log.logger(trt))
    assert runtime.engine_host_code_allowed is False
    assert runtime.deserialize_cuda_engine(engine[:1000]) is None
    assert "Error Code 1: Serialization" in log.pop_error(trt)
    assert log.pop_error(trt) == "it does not say why"
    assert capfd.readouterr() == ("", "")


@needs_rtx
def test_a_real_engine_without_a_driver(build: Builder, tmp_path: Path) -> None:
    import tensorrt_rtx as trt

    with suppress(BackendError):
        pytest.skip(f"there is one, of {driver.Gpu().name}")
    bench = NoGpuBench("tensorrt-rtx", build, tmp_path)
    assert trt.__version__ == bench.version
    assert refusal(bench, bench.engine()).startswith("no NVIDIA GPU with a driver can be used here (")


class NoGpuBench(Bench):
    """A `Bench` for a machine without a GPU, for which TensorRT-RTX can build engines."""

    def gpu(self) -> tuple[str, str]:
        """Return the name of no GPU, and a compute capability to build for."""
        return "none", "8.9"
