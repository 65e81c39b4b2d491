"""The builder is told what was asked for, and remembers times for the next build.

TensorRT-RTX stands in for TensorRT, with which it shares the interface; its builder ignores what it does not have.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from pem_edge.export.engine import build, config, network
from pem_edge.export.engine.settings import Settings, require, require_of_target
from pem_edge.export.engine.tensorrt.targets import TARGETS
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.errors import ExportError
from tests.export.engine.conftest import machine
from tests.helpers.gpu import has_gpu


def test_the_builder_gets_what_was_asked_for() -> None:
    here = machine()
    trt: Any = here.trt
    demo = artifact.read(artifact.DEMO)
    parsed = network.parse(trt, here.target, demo)
    settings = Settings(workspace=3 << 20, optimization_level=1, version_compatible=True, hardware_compatible="ampere+")
    made: Any = config.create(here, parsed, demo.manifest.input, settings, None)
    assert made.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE) == 3 << 20
    assert made.builder_optimization_level == 1
    assert made.num_optimization_profiles == 1
    assert made.get_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    assert made.get_flag(trt.BuilderFlag.EXCLUDE_LEAN_RUNTIME), "an engine must hold no code for the host"
    assert not made.get_flag(trt.BuilderFlag.TF32), "islands of single precision must be that"
    assert made.profiling_verbosity == trt.ProfilingVerbosity.DETAILED


def test_the_network_is_strongly_typed_and_takes_eight_bit_images() -> None:
    here = machine()
    trt: Any = here.trt
    parsed: Any = network.parse(here.trt, here.target, artifact.read(artifact.DEMO))
    assert parsed.network.get_flag(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    assert parsed.network.get_input(0).dtype == trt.DataType.UINT8


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [({"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1}, 0b11), ({"STRONGLY_TYPED": 1}, 0b10), ({}, 0)],
)
def test_flags_that_a_release_lacks_are_left_out(kinds: dict[str, int], expected: int) -> None:
    release: Any = SimpleNamespace(NetworkDefinitionCreationFlag=SimpleNamespace(**kinds))
    assert network._flags(release) == expected


def test_times_are_kept_for_each_release_and_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    here = machine()
    path = config.timing_cache(here, Settings())
    assert path is not None
    assert path.parent == tmp_path / "pem-edge" / "timing"
    assert path.name == f"tensorrt-{here.trt.__version__}-NVIDIA-Orin-nvgpu-8.7.cache"
    assert config.timing_cache(here, Settings(timing_cache="none")) is None
    assert config.timing_cache(here, Settings(timing_cache=tmp_path / "mine")) == tmp_path / "mine"
    assert config.timing_cache(machine("trt-rtx"), Settings()) is None


@pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX")  # it keeps the functions and ignores the cache
def test_times_are_written_and_read_again_and_rubbish_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    here, demo, remarks = machine(), artifact.read(artifact.DEMO), list[str]()
    build.build(here, demo, Settings(), remarks.append)
    path = config.timing_cache(here, Settings())
    assert path is not None
    assert path.stat().st_size > 0
    path.write_bytes(b"rubbish")
    assert len(build.build(here, demo, Settings(), remarks.append).data) > 1 << 20
    layers = network.parse(here.trt, here.target, demo).network.num_layers
    assert any(f"{layers} layers for NVIDIA Orin (nvgpu)" in remark for remark in remarks)
    assert any("cannot be asked for its layers here" in remark for remark in remarks) is not has_gpu()


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert build.build(machine(), artifact.read(artifact.DEMO), Settings(), lambda _: None).data


def test_what_a_release_lacks_is_refused() -> None:
    levels = SimpleNamespace(NONE=0, AMPERE_PLUS=1)
    release: Any = SimpleNamespace(__version__="10.3.0", HardwareCompatibilityLevel=levels)
    require(Settings(hardware_compatible="ampere+"), TARGETS["trt"], release)
    with pytest.raises(ExportError, match=r"same-cc is unknown to TensorRT 10\.3\.0: choose none or ampere\+"):
        require(Settings(hardware_compatible="same-cc"), TARGETS["trt"], release)
    with pytest.raises(ExportError, match="--compute-capability is of TensorRT-RTX"):
        require_of_target(Settings(compute_capability=("8.7",)), TARGETS["trt"])


def test_half_precision_is_refused_where_it_is_slow() -> None:
    here, demo = machine(), artifact.read(artifact.DEMO)
    half = artifact.Artifact(demo.model, msgspec.structs.replace(demo.manifest, precision="fp16"))
    slow, silent = SimpleNamespace(platform_has_fast_fp16=False), SimpleNamespace()
    build._require_fast(silent, here, half)
    build._require_fast(slow, here, demo)
    with pytest.raises(ExportError, match=r"Orin .* has no fast half precision: .*--precision fp32"):
        build._require_fast(slow, here, half)
