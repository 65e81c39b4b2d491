"""Every name of TensorRT and CUDA that this project uses exists in the oldest and in the newest release.

Mypy checks the code against protocols, and these tests compare the protocols with TensorRT's Python bindings, which
PyPI has without the libraries. Only names are checked, including those of the simulation.
"""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

from pem_edge.export.engine.tensorrt import interface as build_interface
from pem_edge.export.engine.tensorrt import rtx_interface as rtx_build_interface
from pem_edge.runtime.backends.tensorrt import interface, rtx_interface
from reference.cuda_simulation import cuda, kernels, machine
from tests.helpers.tensorrt_bindings import (
    simulated_engine,
    simulated_installation,
    simulated_rtx,
    simulated_tensorrt,
)
from tests.helpers.tensorrt_bindings.wheels import REQUIREMENTS, Name, UnavailableError, class_names, names

ROOT = Path(__file__).parents[4]
INTERFACES = (interface, build_interface)
RTX_INTERFACES = (*INTERFACES, rtx_interface, rtx_build_interface)
OWNERS = {"TensorRt": "", "Member": "DataType"}
"""The classes of protocols that are not named after one: "" for the module, and an enumeration for its members."""

SOURCES = sorted((ROOT / "runtime/backends").rglob("*.py"))

Bindings = dict[str, set[str]]
needs_cuda = pytest.mark.skipif(find_spec("cuda") is None, reason="cuda-bindings is not installed")
needs_rtx = pytest.mark.skipif(find_spec("tensorrt_rtx") is None, reason="tensorrt-rtx is not installed")


@pytest.fixture(scope="session", params=REQUIREMENTS)
def bindings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bindings:
    """Return the names in TensorRT's oldest and newest bindings, which pytest's cache keeps."""
    kept = getattr(request.config, "cache", None)
    folder = kept.mkdir("tensorrt-bindings") if kept else tmp_path_factory.getbasetemp()
    try:
        return names(REQUIREMENTS[request.param], folder)
    except UnavailableError as error:
        pytest.skip(f"the bindings of TensorRT {request.param} are not available: {error}")


@pytest.fixture(scope="session")
def rtx() -> Bindings:
    """Return the names in the installed TensorRT-RTX."""
    return class_names(import_module("tensorrt_rtx"))


def promised(module: ModuleType) -> set[Name]:
    """Return the names in the protocols that ``module`` defines, against which mypy checks the code."""
    protocols = [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__ and getattr(kind, "_is_protocol", False)
    ]
    return {
        Name(OWNERS.get(kind.__name__, kind.__name__), name)
        for kind in protocols
        for name in {*vars(kind), *vars(kind).get("__annotations__", {})}
        if not name.startswith("_")
    }


def missing(used: set[Name], bindings: Bindings) -> set[Name]:
    return {name for name in used if name.attribute not in bindings.get(name.owner, set())}


@pytest.mark.parametrize("module", INTERFACES)
def test_what_our_code_may_use_exists_in_tensorrt(bindings: Bindings, module: ModuleType) -> None:
    assert missing(promised(module), bindings) == set()


@needs_rtx
@pytest.mark.parametrize("module", RTX_INTERFACES)
def test_what_our_code_may_use_exists_in_tensorrt_rtx_with_the_same_parameters(
    rtx: Bindings, module: ModuleType
) -> None:
    found = promised(module)
    assert missing(found, rtx) == set()
    real = import_module("tensorrt_rtx")
    for kind in {kind for kind in vars(module).values() if isinstance(kind, type) and kind.__name__ not in OWNERS}:
        methods = {name: method for name, method in vars(kind).items() if inspect.isfunction(method)}
        for name, method in methods.items():
            if Name(kind.__name__, name) in found:
                ours = list(inspect.signature(method).parameters)[1:]
                theirs = documented(getattr(getattr(real, kind.__name__), name).__doc__)
                assert any(set(ours) <= set(parameters) for parameters in theirs) or not theirs, (kind, name)


def test_what_only_rtx_has_is_not_in_all_others(bindings: Bindings) -> None:
    of_rtx = {Name("", "ComputeCapability"), Name("IBuilderConfig", "num_compute_capabilities")}
    assert of_rtx <= promised(rtx_interface) | promised(rtx_build_interface)
    assert missing(of_rtx, bindings) == of_rtx


@pytest.mark.parametrize(
    "name",
    [
        Name("", "Runtime"),
        Name("ICudaEngine", "create_execution_context"),
        Name("IExecutionContext", "execute_async_v3"),
        Name("ILogger", "ERROR"),
        Name("IPluginRegistry", "load_library"),
        Name("Builder", "create_network"),
        Name("ILayer", "get_output"),
        Name("ParserError", "node_operator"),
        Name("IProgressMonitor", "step_complete"),
        Name("DataType", "name"),
    ],
)
def test_names_are_found_in_our_protocols(name: Name) -> None:
    """Check that the other tests compare anything at all."""
    assert any(name in promised(module) for module in INTERFACES)


def test_a_removed_name_is_noticed(bindings: Bindings) -> None:
    removed = {Name("BuilderFlag", "FP16")}
    assert missing(removed, bindings) == (set() if "10.3.0" in bindings["__version__"] else removed)


SIMULATED = [
    (simulated_tensorrt.Runtime, ""),
    (simulated_engine.ICudaEngine, "shape_of session trt header"),
    (simulated_engine.IExecutionContext, "spoil tensors"),
    (simulated_tensorrt.IPluginRegistry, ""),
    (simulated_installation.ILogger, ""),
    (simulated_engine.DataType, ""),
    (simulated_rtx.ExecutionContextAllocationStrategy, ""),
]
SIMULATED_RTX = [
    (simulated_rtx.IRuntimeConfig, "add_kernels strategy"),
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
            if inspect.isfunction(method):
                ours = list(inspect.signature(method).parameters)[1:]
                theirs = documented(getattr(getattr(real, name.owner), name.attribute).__doc__)
                assert any(set(ours) <= set(parameters) for parameters in theirs) or ours == ["strategy"], name


def documented(text: str) -> list[list[str]]:
    """Return the parameters of each overload that the docstring of a bound method lists."""
    return [re.findall(r"(\w+): ", line) for line in text.splitlines() if "self: " in line]


@needs_cuda
def test_names_exist_in_cuda() -> None:
    modules = [import_module(f"cuda.bindings.{name}") for name in ("runtime", "driver", "nvrtc")]
    kinds = [kind for kind in vars(modules[0]).values() if inspect.isclass(kind)]
    known = {name for owner in (*modules, *kinds) for name in vars(owner)}
    pattern = r'"((?:cu|cuda|nvrtc)[A-Z]\w+)"'
    used = {text for file in SOURCES for text in re.findall(pattern, file.read_text())}
    assert {"cudaMallocHost", "cuCtxPushCurrent", "cudaMemcpyDefault", "cuLaunchKernel", "nvrtcGetCUBIN"} <= used
    assert used <= known


@needs_cuda
def test_what_is_simulated_exists_in_cuda_with_the_same_parameters() -> None:
    for name, method in {**vars(cuda.Cuda), **vars(kernels.Kernels)}.items():
        if found := re.match("(cuda|cu|nvrtc)[A-Z]", name):
            module = {"cuda": "runtime", "cu": "driver", "nvrtc": "nvrtc"}[found[1]]
            ours = list(inspect.signature(method).parameters)[1:]
            real = getattr(import_module(f"cuda.bindings.{module}"), name)
            assert list(inspect.signature(real).parameters) == ours, name


@needs_cuda
def test_what_is_simulated_has_the_values_of_cuda() -> None:
    for module, kind, ours in (
        ("runtime", "cudaError_t", machine.Error),
        ("runtime", "cudaMemoryType", machine.Kind),
        ("driver", "CUresult", machine.DriverError),
        ("nvrtc", "nvrtcResult", machine.CompilerError),
    ):
        for member in ours:
            assert int(getattr(getattr(import_module(f"cuda.bindings.{module}"), kind), member.name)) == member
