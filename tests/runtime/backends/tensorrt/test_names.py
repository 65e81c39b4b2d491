"""Every name of TensorRT's and CUDA's that our code uses is there in the oldest and in the newest release.

No TensorRT can be installed in CI, so its Python bindings are asked, which are on PyPI without the libraries. That is a
check of names, nothing more; for what a simulation computes, the names it has are checked as well.
"""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.helpers.tensorrt_bindings import (
    simulated_cuda,
    simulated_engine,
    simulated_kernels,
    simulated_machine,
    simulated_rtx,
    simulated_tensorrt,
)
from tests.helpers.tensorrt_bindings.used_names import CLASSES, Name, used_names
from tests.helpers.tensorrt_bindings.wheels import REQUIREMENTS, UnavailableError, class_names, names

ROOT = Path(__file__).parents[4]
RTX_FILES = {"runtime/backends/tensorrt/engine/rtx_contexts.py": {"config": "IRuntimeConfig", "cache": "IRuntimeCache"}}
"""Files that only TensorRT-RTX ever reaches, and what their variables are."""

FILES = sorted(
    file.relative_to(ROOT).as_posix()
    for pattern in ("export/engine/*.py", "runtime/backends/**/*.py")
    for file in ROOT.glob(pattern)
    if file.name != "__init__.py"
)
RTX_ONLY = {Name("", "ComputeCapability")}
"""Used elsewhere, too, but only when the target is TensorRT-RTX."""

Bindings = dict[str, set[str]]
needs_cuda = pytest.mark.skipif(find_spec("cuda") is None, reason="cuda-bindings is not installed")
needs_rtx = pytest.mark.skipif(find_spec("tensorrt_rtx") is None, reason="tensorrt-rtx is not installed")


@pytest.fixture(scope="session", params=REQUIREMENTS)
def bindings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bindings:
    """The names in TensorRT's bindings, oldest and newest; fetched once, if pytest keeps a cache."""
    kept = getattr(request.config, "cache", None)
    folder = kept.mkdir("tensorrt-bindings") if kept else tmp_path_factory.getbasetemp()
    try:
        return names(REQUIREMENTS[request.param], folder)
    except UnavailableError as error:
        pytest.skip(f"the bindings of TensorRT {request.param} cannot be had: {error}")


@pytest.fixture(scope="session")
def rtx() -> Bindings:
    """The names in TensorRT-RTX's, as installed."""
    return class_names(import_module("tensorrt_rtx"))


def in_file(file: str) -> set[Name]:
    return used_names((ROOT / file).read_text(), {**CLASSES, **RTX_FILES.get(file, {})})


def missing(used: set[Name], bindings: Bindings) -> set[Name]:
    return {name for name in used if name.attribute not in bindings.get(name.owner, set())}


@pytest.mark.parametrize("file", [file for file in FILES if file not in RTX_FILES])
def test_names_exist_in_tensorrt(bindings: Bindings, file: str) -> None:
    assert missing(in_file(file) - RTX_ONLY, bindings) == set()


@needs_rtx
@pytest.mark.parametrize("file", FILES)
def test_names_exist_in_tensorrt_rtx(rtx: Bindings, file: str) -> None:
    assert missing(in_file(file), rtx) == set()


def test_what_is_only_rtxs_is_not_in_all_others(bindings: Bindings) -> None:
    assert missing(RTX_ONLY, bindings) == RTX_ONLY


@pytest.mark.parametrize(
    "name",
    [
        Name("", "Runtime"),
        Name("ICudaEngine", "create_execution_context"),
        Name("IExecutionContext", "execute_async_v3"),
        Name("IExecutionContext", "set_tensor_address"),
        Name("IPluginRegistry", "load_library"),
        Name("Runtime", "deserialize_cuda_engine"),
        Name("ILogger", "log"),
        Name("IRuntimeConfig", "create_runtime_cache"),
        Name("Builder", "create_network"),
        Name("OnnxParser", "get_error"),
        Name("EngineInspector", "get_engine_information"),
        Name("IProgressMonitor", "step_complete"),
    ],
)
def test_names_are_found_in_our_sources(name: Name) -> None:
    """Else the tests above would check nothing."""
    assert any(name in in_file(file) for file in FILES)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("trt.Builder(x)", {Name("", "Builder")}),
        ("machine.trt.DataType.HALF", {Name("", "DataType"), Name("DataType", "HALF")}),
        ("trt.Builder(x).create_network(0)", {Name("", "Builder"), Name("Builder", "create_network")}),
        ("self._engine.num_layers", {Name("ICudaEngine", "num_layers")}),
        ("f(x).get_plugin_registry().load_library(x)", {Name("IPluginRegistry", "load_library")}),
        ("from a import engine\nengine.num_layers", set()),
        ("def f(engine: Path): engine.parent", set()),
        ("def f(engine: Any): engine.parent", {Name("ICudaEngine", "parent")}),
        ("class A(trt.B):\n def log(self): ...\n def _own(self): ...", {Name("", "B"), Name("B", "log")}),
        ("def f(config):\n if hasattr(config, 'new'): config.new = 1", set()),
        ("def f(config):\n if hasattr(config, 'new'): config.other = 1", {Name("IBuilderConfig", "other")}),
        ("def f():\n hasattr(config, 'new')\ndef g(): config.new = 1", {Name("IBuilderConfig", "new")}),
        ("def f(): hasattr(trt.BuilderFlag, 'FP16') and trt.BuilderFlag.FP16", {Name("", "BuilderFlag")}),
    ],
)  # fmt: skip
def test_reading_names_and_guards(source: str, found: set[Name]) -> None:
    assert used_names(source) == found


def test_a_removed_name_is_noticed(bindings: Bindings) -> None:
    old = "trt.BuilderFlag.FP16"
    gone = missing(used_names(old), bindings)
    assert gone == (set() if "10.3.0" in bindings["__version__"] else {Name("BuilderFlag", "FP16")})
    assert missing(used_names(f"def f(): return hasattr(trt.BuilderFlag, 'FP16') and {old}"), bindings) == set()


SIMULATED = [
    (simulated_tensorrt.Runtime, ""),
    (simulated_engine.ICudaEngine, "shape_of session trt header"),
    (simulated_engine.IExecutionContext, "tensors"),
    (simulated_tensorrt.IPluginRegistry, ""),
    (simulated_tensorrt.ILogger, ""),
    (simulated_engine.DataType, ""),
    (simulated_rtx.ExecutionContextAllocationStrategy, ""),
]
SIMULATED_RTX = [
    (simulated_rtx.IRuntimeConfig, "compiled strategy"),
    (simulated_rtx.IRuntimeCache, "kernels"),
    (simulated_rtx.CudaGraphStrategy, ""),
]


def simulated_names(kind: type, own: str) -> set[Name]:
    return {Name(kind.__name__, name) for name in vars(kind) if not name.startswith("_") and name not in own.split()}


def test_what_is_simulated_exists_in_tensorrt(bindings: Bindings) -> None:
    of_rtx = {Name("ICudaEngine", "create_runtime_config")}
    for kind, own in SIMULATED:
        assert missing(simulated_names(kind, own) - of_rtx, bindings) == set()


@needs_rtx
def test_what_is_simulated_exists_in_tensorrt_rtx_with_the_same_parameters(rtx: Bindings) -> None:
    real = import_module("tensorrt_rtx")
    for kind, own in [*SIMULATED, *SIMULATED_RTX]:
        found = simulated_names(kind, own)
        assert missing(found, rtx) == set()
        for name in found:
            method = getattr(kind, name.attribute)
            if inspect.isfunction(method) and kind is not simulated_tensorrt.ILogger:  # which bindings document badly
                ours = list(inspect.signature(method).parameters)[1:]
                theirs = documented(getattr(getattr(real, name.owner), name.attribute).__doc__)
                assert any(set(ours) <= set(parameters) for parameters in theirs) or ours == ["strategy"], name


def documented(text: str) -> list[list[str]]:
    """Parameters of each overload that the docstring of a bound method lists."""
    return [re.findall(r"(\w+): ", line) for line in text.splitlines() if "self: " in line]


@needs_cuda
def test_names_exist_in_cuda() -> None:
    modules = [import_module(f"cuda.bindings.{name}") for name in ("runtime", "driver", "nvrtc")]
    kinds = [kind for kind in vars(modules[0]).values() if inspect.isclass(kind)]
    known = {name for owner in (*modules, *kinds) for name in vars(owner)}
    pattern = r'"((?:cu|cuda|nvrtc)[A-Z]\w+)"'
    used = {text for file in FILES for text in re.findall(pattern, (ROOT / file).read_text())}
    assert {"cudaMallocHost", "cuCtxPushCurrent", "cudaMemcpyDefault", "cuLaunchKernel", "nvrtcGetCUBIN"} <= used
    assert used <= known


@needs_cuda
def test_what_is_simulated_exists_in_cuda_with_the_same_parameters() -> None:
    for name, method in {**vars(simulated_cuda.Cuda), **vars(simulated_kernels.Kernels)}.items():
        if found := re.match("(cuda|cu|nvrtc)[A-Z]", name):
            module = {"cuda": "runtime", "cu": "driver", "nvrtc": "nvrtc"}[found[1]]
            ours = list(inspect.signature(method).parameters)[1:]
            real = getattr(import_module(f"cuda.bindings.{module}"), name)
            assert list(inspect.signature(real).parameters) == ours, name


@needs_cuda
def test_what_is_simulated_has_the_values_of_cuda() -> None:
    for module, kind, ours in (
        ("runtime", "cudaError_t", simulated_machine.Error),
        ("runtime", "cudaMemoryType", simulated_machine.Kind),
        ("driver", "CUresult", simulated_machine.DriverError),
        ("nvrtc", "nvrtcResult", simulated_machine.CompilerError),
    ):
        for member in ours:
            assert int(getattr(getattr(import_module(f"cuda.bindings.{module}"), kind), member.name)) == member
