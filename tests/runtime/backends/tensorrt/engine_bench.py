"""Builds and loads engines of the tiny model, with a simulated TensorRT or with the installed one."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.manifest import InputSpec, manifest_path, parse_manifest
from pem_edge.runtime.artifacts.sections import Engine, FileHash
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.backends.cuda import driver
from pem_edge.runtime.backends.tensorrt import log, plugin_library
from pem_edge.runtime.files import sha256
from pem_edge.runtime.inference.backend import SegmenterBackend
from reference.cuda_simulation.cuda import Cuda
from tests.helpers.host_compiler import require_host_compiler
from tests.helpers.tensorrt_bindings.simulated_tensorrt import TensorRt, engine_bytes

Builder = Callable[..., Path]
MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
"""The names of TensorRT's modules by backend."""

_TARGETS = {"tensorrt": "trt", "tensorrt-rtx": "trt-rtx"}


class Bench:
    """Builds engines of the tiny model and loads them.

    Args:
        name: The backend, "tensorrt" or "tensorrt-rtx".
        build: Writes an ONNX artifact, see the fixture `build`.
        folder: The folder to which ``build`` writes.
    """

    def __init__(self, name: str, build: Builder, folder: Path) -> None:
        self.name, self._build, self.folder = name, build, folder
        self.loaded: list[SegmenterBackend] = []

    @property
    def version(self) -> str:
        """TensorRT's version."""
        return str(importlib.import_module(MODULES[self.name]).__version__)

    def serialize(self, model: bytes, spec: InputSpec, **options: Any) -> bytes:
        """Build an engine of ``model``, and return its bytes."""
        assert not options
        return build_with(importlib.import_module(MODULES[self.name]), model, *profile(spec))

    def gpu(self) -> tuple[str, str]:
        """Return the name and compute capability of the GPU in use."""
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
        """Write an engine and its manifest, and return the engine's path.

        Args:
            spec: The manifest's input; None for 64x96.
            name: The file's name, without its suffix.
            options: Options for `serialize`.
            about: Replacements for the defaults of the manifest's engine section.
            **fields: Replacements for other fields of the manifest.
        """
        spec = spec or InputSpec(height=64, width=96)
        onnx = self._build(spec, name, lone=True, **fields)
        manifest_path(onnx).write_bytes(artifact.read(onnx).manifest.to_json())  # which becomes the engine's
        path = onnx.with_suffix(".engine")
        path.write_bytes(self.serialize(onnx.read_bytes(), spec, **(options or {})))
        self.describe(path, about or {})
        return path

    def describe(self, path: Path, about: dict[str, Any]) -> None:
        """Update the manifest beside ``path`` with the engine's hash and engine section, see `engine` for ``about``."""
        beside = manifest_path(path)
        manifest = parse_manifest(beside.read_bytes(), str(beside))
        gpu, capability = self.gpu()
        defaults = {
            "target": _TARGETS[self.name],
            "version": self.version,
            "gpu": gpu,
            "compute_capabilities": (capability,),
            "source": FileHash(path.with_suffix(".onnx").name, sha256(path.with_suffix(".onnx"))),
        }
        hashed = FileHash(path.name, sha256(path))
        beside.write_bytes(
            msgspec.structs.replace(manifest, model=hashed, engine=Engine(**{**defaults, **about})).to_json()
        )

    def load(self, path: Path) -> Backend:
        """Load an engine."""
        backend = backends.create(self.name, artifact.read(path))
        self.loaded.append(backend)
        return backend


class SimulatedBench(Bench):
    """A `Bench` with a simulated TensorRT and GPU."""

    def __init__(self, name: str, build: Builder, folder: Path, machine: Cuda) -> None:
        super().__init__(name, build, folder)
        self.machine = machine
        self.tensorrt = TensorRt(machine, MODULES[name], "10.3.0" if name == "tensorrt" else "1.7.1")

    def serialize(self, model: bytes, spec: InputSpec, **options: Any) -> bytes:
        """Return a simulated engine of ``model``, see `engine_bytes` for the options."""
        return engine_bytes(model, *profile(spec), **{"version": self.version, **options})

    def gpu(self) -> tuple[str, str]:
        """Return the name and compute capability of the first simulated GPU."""
        return "Simulated GPU A", "8.9"

    def finish(self) -> None:
        """Close what was loaded, and check that there are no leaks or faults."""
        for backend in self.loaded:
            backend.close()
        self.loaded.clear()
        gc.collect()
        assert self.machine.faults == []
        assert self.machine.leaks() == []


@contextmanager
def simulation(bench: SimulatedBench, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedBench]:
    """Replace CUDA and TensorRT by the simulation during the block, and check the simulation at the end."""
    require_host_compiler()
    module = bench.tensorrt.module
    for name, contents in {**bench.machine.modules(), module.__name__: module}.items():
        monkeypatch.setitem(sys.modules, name, contents)
    monkeypatch.setattr(plugin_library, "_loaded", {})
    driver._library.cache_clear()
    yield bench
    bench.finish()
    driver._library.cache_clear()


def profile(spec: InputSpec) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the minimum and the maximum shape of the input."""
    ranges = [(spec.dynamic_batch, spec.batch), (spec.dynamic_height, spec.height), (spec.dynamic_width, spec.width)]
    least = [sizes.least if sizes else size for sizes, size in ranges]
    most = [sizes.most if sizes else size for sizes, size in ranges]
    return (*least, 3), (*most, 3)


def build_with(trt: Any, model: bytes, least: tuple[int, ...], most: tuple[int, ...]) -> bytes:
    """Build an engine of ``model`` with TensorRT's module ``trt``, and return its bytes."""
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
