"""The kernels compile for every supported GPU, and compiled kernels are cached and checked for damage."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from pem_edge.runtime.backends.cuda import driver
from pem_edge.runtime.backends.tensorrt.kernels import arguments, compiled
from pem_edge.runtime.backends.tensorrt.kernels.arguments import (
    CANDIDATE,
    SEGMENT,
    SUMMARY,
    TAPS,
    FitArguments,
    MergeArguments,
    Side,
)
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.files import cache_folder
from reference.host_cuda.kernels import HostKernels
from tests.helpers.nvcc import ARCHITECTURES, check_compilation


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def nvrtc() -> None:
    """Skip the test if there is no NVRTC."""
    if find_spec("cuda") is None:
        pytest.skip("cuda-bindings is not installed")
    try:
        driver.nvrtc("nvrtcVersion")
    except BackendError as error:
        pytest.skip(str(error))


def kept() -> list[Path]:
    return sorted(cache_folder().glob("kernels/*"))


@pytest.mark.parametrize("name", compiled.NAMES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kernels_compile_by_nvcc_for(tmp_path: Path, architecture: int, name: str) -> None:
    check_compilation(compiled.SOURCES / f"{name}.cu", architecture, tmp_path)


@pytest.mark.usefixtures("nvrtc")
@pytest.mark.parametrize("name", compiled.NAMES)
@pytest.mark.parametrize("architecture", [ARCHITECTURES[0], ARCHITECTURES[-1]])
def test_kernels_compile_by_nvrtc_for(architecture: int, name: str) -> None:
    """Check that the kernels compile without CUDA's headers and without a host compiler."""
    if architecture not in import_module("cuda.bindings.nvrtc").nvrtcGetSupportedArchs()[1]:
        pytest.skip(f"this NVRTC does not know compute capability {architecture / 10}")
    binary = compiled.cubin(name, f"{architecture / 10}")
    assert binary.startswith(b"\x7fELF")
    symbols = {"preprocess": (b"fit_average", b"fit_interpolation"), "panoptic_merge": (b"merge_accept",)}[name]
    assert all(symbol in binary for symbol in symbols)


@pytest.mark.usefixtures("nvrtc")
def test_what_was_compiled_is_kept_by_source_gpu_and_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = compiled.cubin("preprocess", "8.7")
    compiled.cubin("preprocess", "8.9")
    assert len(kept()) == 2
    with monkeypatch.context() as patched:
        patched.setattr(compiled, "_compile", lambda *_: pytest.fail("compiled again"))
        assert compiled.cubin("preprocess", "8.7") == first
    for source in compiled.SOURCES.glob("*.[ch]*"):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    with (tmp_path / "arguments.h").open("a") as header:
        header.write("// another\n")
    monkeypatch.setattr(compiled, "SOURCES", tmp_path)
    compiled.cubin("preprocess", "8.7")
    assert len(kept()) == 3


@pytest.mark.usefixtures("nvrtc")
@pytest.mark.parametrize("damage", [lambda data: data[:-100], lambda data: data[:-1] + b"?", lambda _: b""])
def test_a_damaged_cache_is_made_again(damage: Callable[[bytes], bytes]) -> None:
    first = compiled.cubin("preprocess", "8.7")
    (path,) = kept()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert compiled.cubin("preprocess", "8.7") == first
    assert path.read_bytes() == whole


@pytest.mark.usefixtures("nvrtc")
def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    assert compiled.cubin("preprocess", "8.7").startswith(b"\x7fELF")


@pytest.mark.usefixtures("nvrtc")
def test_a_gpu_that_nvrtc_does_not_know_is_one_line() -> None:
    with pytest.raises(BackendError, match=r"NVRTC cannot compile preprocess.cu for sm_35 \(.*\).*: install") as caught:
        compiled.cubin("preprocess", "3.5")
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("nvrtc")
def test_sources_that_do_not_compile_are_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "preprocess.cu").write_text("__global__ void f() {\n nonsense; }")
    monkeypatch.setattr(compiled, "SOURCES", tmp_path)
    with pytest.raises(BackendError, match="nonsense") as caught:
        compiled.cubin("preprocess", "8.7")
    assert "\n" not in str(caught.value)


def test_python_has_the_structures_and_constants_of_the_sources(kernels: HostKernels) -> None:
    def offsets(structure: type[ctypes.Structure], *names: str) -> list[int]:
        return [getattr(structure, name).offset for name in names]

    def field(dtype: np.dtype[np.void], name: str) -> int:
        assert dtype.fields is not None
        return int(dtype.fields[name][1])

    ours = [
        ctypes.sizeof(Side), ctypes.sizeof(FitArguments), TAPS.itemsize, CANDIDATE.itemsize, SEGMENT.itemsize,
        SUMMARY.itemsize, ctypes.sizeof(MergeArguments), *offsets(FitArguments, "columns", "half_up", "pad"),
        field(CANDIDATE, "right"), field(SEGMENT, "right"), field(SUMMARY, "problems"),
        *offsets(MergeArguments, "is_thing", "segments", "overlap_threshold", "score_threshold", "grid_width", "width"),
        arguments.CLASS_BYTES, arguments.TILE_BYTES, arguments.CONTENDER_BYTES, arguments.THREADS,
        *reversed(arguments.FIT_TILE), *reversed(arguments.ASSIGNMENT_TILE), arguments.PAINT_PIXELS,
    ]  # fmt: skip
    assert kernels.layout(len(ours)) == ours
