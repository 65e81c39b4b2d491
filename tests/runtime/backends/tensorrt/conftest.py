"""Engines of the tiny model, on a simulated machine and, where there is a GPU and TensorRT, on the real one."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts import manifest as manifests
from pem_edge.runtime.artifacts.manifest import Engine, FileHash, InputSpec
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.backends.cuda import driver
from pem_edge.runtime.backends.tensorrt import log, plugin_library
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.files import sha256
from pem_edge.runtime.inference.backend import Backend as SegmenterBackend
from tests.helpers.tensorrt_bindings.simulated_cuda import Cuda
from tests.helpers.tensorrt_bindings.simulated_tensorrt import TensorRt, engine_bytes

Builder = Callable[..., Path]
_MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
_TARGETS = {"tensorrt": "trt", "tensorrt-rtx": "trt-rtx"}


class Bench:
    """Builds engines of the tiny model and loads them, with the TensorRT called ``name``."""

    def __init__(self, name: str, build: Builder, folder: Path) -> None:
        self.name, self._build, self.folder = name, build, folder
        self.loaded: list[SegmenterBackend] = []

    @property
    def version(self) -> str:
        """TensorRT's."""
        return str(importlib.import_module(_MODULES[self.name]).__version__)

    def serialized(self, model: bytes, spec: InputSpec, **options: Any) -> bytes:
        """Return the engine's bytes."""
        assert not options
        return really_built(importlib.import_module(_MODULES[self.name]), model, *profile(spec))

    def gpu(self) -> tuple[str, str]:
        """Name and compute capability of the GPU in use."""
        found = driver.Gpu()
        return found.name, found.compute_capability

    def engine(
        self,
        spec: InputSpec | None = None,
        name: str = "tiny",
        options: dict[str, Any] | None = None,
        about: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Path:
        """Write ``<name>.engine``. ``options`` say how it is built, ``about`` and ``fields`` what its manifest says."""
        spec = spec or InputSpec(height=64, width=96)
        onnx = self._build(spec, name, **fields)
        path = onnx.with_suffix(".engine")
        path.write_bytes(self.serialized(onnx.read_bytes(), spec, **(options or {})))
        self.describe(path, about or {})
        return path

    def describe(self, path: Path, about: dict[str, Any]) -> None:
        """Make the manifest beside ``path`` that engine's, with its hash; ``about`` replaces parts of `Engine`."""
        beside = manifests.path_of(path)
        manifest = manifests.parse(beside.read_bytes(), str(beside))
        gpu, capability = self.gpu()
        usual = {
            "target": _TARGETS[self.name],
            "version": self.version,
            "gpu": gpu,
            "compute_capabilities": (capability,),
            "source": FileHash(path.with_suffix(".onnx").name, sha256(path.with_suffix(".onnx"))),
        }
        hashed = FileHash(path.name, sha256(path))
        beside.write_bytes(
            msgspec.structs.replace(manifest, model=hashed, engine=Engine(**{**usual, **about})).to_json()
        )

    def load(self, path: Path) -> Backend:
        """Return the backend."""
        backend = backends.create(self.name, artifact.read(path))
        self.loaded.append(backend)
        return backend


class SimulatedBench(Bench):
    """See `Bench`."""

    def __init__(self, name: str, build: Builder, folder: Path, machine: Cuda) -> None:
        super().__init__(name, build, folder)
        self.machine = machine
        self.tensorrt = TensorRt(machine, _MODULES[name], "10.3.0" if name == "tensorrt" else "1.7.1")

    def serialized(self, model: bytes, spec: InputSpec, **options: Any) -> bytes:
        """See `engine_bytes` for the options."""
        return engine_bytes(model, *profile(spec), **{"version": self.version, **options})

    def gpu(self) -> tuple[str, str]:
        """Return the first GPU."""
        return "Simulated GPU A", "8.9"

    def finish(self) -> None:
        """Nothing may be left, nor have gone wrong."""
        for backend in self.loaded:
            backend.close()
        self.loaded.clear()
        gc.collect()
        assert self.machine.faults == []
        assert self.machine.leaks() == []


def profile(spec: InputSpec) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the least and the largest shape of ``image``."""
    ranges = [(spec.dynamic_batch, spec.batch), (spec.dynamic_height, spec.height), (spec.dynamic_width, spec.width)]
    least = [sizes.least if sizes else size for sizes, size in ranges]
    most = [sizes.most if sizes else size for sizes, size in ranges]
    return (*least, 3), (*most, 3)


def really_built(trt: Any, model: bytes, least: tuple[int, ...], most: tuple[int, ...]) -> bytes:
    """Return the bytes of an engine of ``model``, from TensorRT's module ``trt``."""
    logger = log.logger(trt)
    builder = trt.Builder(logger)
    flags = trt.NetworkDefinitionCreationFlag
    network = builder.create_network(
        1 << int(flags.STRONGLY_TYPED) if hasattr(flags, "STRONGLY_TYPED") else 0  # the only kind from 11 on
    )
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(model), parser.get_error(0).desc()
    config = builder.create_builder_config()
    shapes = builder.create_optimization_profile()
    shapes.set_shape("image", least, most, most)
    config.add_optimization_profile(shapes)
    return bytes(builder.build_serialized_network(network, config))


def _skip_without_gpu(name: str) -> None:
    if find_spec(_MODULES[name]) is None:
        pytest.skip(f"{name} is not installed")
    try:
        capability = driver.Gpu().compute_capability
    except BackendError as error:
        pytest.skip(str(error))
    known = getattr(importlib.import_module(_MODULES[name]), "ComputeCapability", None)  # TensorRT-RTX has a list
    if known is not None and not hasattr(known, f"SM{capability.replace('.', '')}"):
        pytest.skip(f"{name} knows no compute capability {capability}")


@contextmanager
def _simulation(bench: SimulatedBench, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedBench]:
    """Put the simulated machine in the place of the real one, and check it in the end."""
    module = bench.tensorrt.module
    for name, contents in {**bench.machine.modules(), module.__name__: module}.items():
        monkeypatch.setitem(sys.modules, name, contents)
    monkeypatch.setattr(plugin_library, "_loaded", {})
    driver._library.cache_clear()
    yield bench
    bench.finish()
    driver._library.cache_clear()


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(params=["tensorrt", "tensorrt-rtx"])
def simulated(
    request: pytest.FixtureRequest, build: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SimulatedBench]:
    """Yield each target of TensorRT on a simulated machine."""
    with _simulation(SimulatedBench(request.param, build, tmp_path, Cuda()), monkeypatch) as bench:
        yield bench


@pytest.fixture(params=["simulated tensorrt", "simulated tensorrt-rtx", "real tensorrt", "real tensorrt-rtx"])
def bench(
    request: pytest.FixtureRequest, build: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    """Yield each target of TensorRT, on a simulated machine and on this machine's GPU."""
    kind, name = request.param.split()
    if kind == "simulated":
        with _simulation(SimulatedBench(name, build, tmp_path, Cuda()), monkeypatch) as bench:
            yield bench
        return
    _skip_without_gpu(name)
    real = Bench(name, build, tmp_path)
    yield real
    for backend in real.loaded:
        backend.close()
