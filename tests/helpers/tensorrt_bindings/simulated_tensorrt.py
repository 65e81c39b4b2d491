"""Simulates TensorRT's runtime, because continuous integration has no GPU.

A simulated engine is a header followed by an ONNX model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from reference.cuda_simulation.machine import Machine
from tests.helpers.tensorrt_bindings.simulated_engine import DataType, Fault, ICudaEngine
from tests.helpers.tensorrt_bindings.simulated_installation import ILogger, Installation
from tests.helpers.tensorrt_bindings.simulated_rtx import CudaGraphStrategy, ExecutionContextAllocationStrategy

_MAGIC = b"simulated engine"
OURS, NVIDIAS = "PemDeformConv", "ModulatedDeformConv2d"
"""The names of this project's plugin and of NVIDIA's."""


def engine_bytes(
    model: bytes,
    least: Sequence[int],
    most: Sequence[int],
    version: str,
    half: bool = False,
    needs: str = "",
    recordable: bool = True,
    fault: Fault | None = None,
) -> bytes:
    """Return a serialized engine.

    Args:
        model: The ONNX model.
        least: The minimum shape of the image.
        most: The maximum shape of the image.
        version: The version of TensorRT that can load the engine.
        half: Whether the outputs are in half precision.
        needs: The name of the plugin that the engine needs, or "".
        recordable: Whether the engine's runs can be recorded as a CUDA graph.
        fault: How the engine answers wrongly; None for an engine that is right.
    """
    header = {
        "version": version,
        "least": [*least],
        "most": [*most],
        "output": "HALF" if half else "FLOAT",
        "needs": needs,
        "recordable": recordable,
        "fault": fault,
        "size": len(model),
    }
    return _MAGIC + json.dumps(header).encode() + b"\n" + model


class TensorRt(Installation):
    """A simulated TensorRT, whose Python module is `module`."""

    def __init__(self, machine: Machine, name: str, version: str) -> None:
        super().__init__(machine)
        self.version = version
        self.creators: set[str] = set()
        self.libraries: list[str] = []
        self.module = ModuleType(name)
        self.module.__spec__ = ModuleSpec(name, None)
        contents = {
            "ILogger": ILogger,
            "DataType": DataType,
            "ExecutionContextAllocationStrategy": ExecutionContextAllocationStrategy,
            "CudaGraphStrategy": CudaGraphStrategy,
            "Runtime": partial(Runtime, self),
            "get_plugin_registry": lambda: IPluginRegistry(self),
            "init_libnvinfer_plugins": self._init_libnvinfer_plugins,
            "__version__": version,
        }
        self.module.__dict__.update(contents)

    def _init_libnvinfer_plugins(self, logger: ILogger, namespace: str) -> bool:  # noqa: ARG002
        self.creators.add(NVIDIAS)
        return True


class IPluginRegistry:
    """See TensorRT. A library is a file whose text is the name of a plugin."""

    def __init__(self, trt: TensorRt) -> None:
        self._trt = trt

    def load_library(self, plugin_path: str) -> object | None:
        """See TensorRT."""
        name = Path(plugin_path).read_text() if "/" in plugin_path else "not found"
        if not name.startswith(OURS) or OURS in self._trt.creators:
            return None
        self._trt.creators.add(OURS)
        self._trt.libraries.append(plugin_path)
        return object()


class Runtime:
    """See TensorRT."""

    def __init__(self, trt: TensorRt, logger: ILogger) -> None:
        self._trt, trt.logger = trt, logger
        self.engine_host_code_allowed = False
        trt.track(self)

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        """See TensorRT."""
        if self.engine_host_code_allowed:
            self._trt.machine.fault("engines may run code on the host")
        head, _, model = serialized_engine.partition(b"\n")
        header = json.loads(head.removeprefix(_MAGIC)) if head.startswith(_MAGIC) else {}
        problem = self._problem(header, model)
        if problem:
            self._trt.error(f"Serialization assertion {problem}.")
            self._trt.error("a consequence of it")
            return None
        return ICudaEngine(self._trt, self, header, model)

    def _problem(self, header: dict[str, Any], model: bytes) -> str:
        if not header:
            return "magicTag == kEXPECTED_MAGIC_TAG failed"
        if len(model) != header["size"]:
            return "plan.header.size == blobSize failed"
        if header["version"] != self._trt.version:
            return "failed, the engine plan file is not compatible with this version"
        if header["needs"] and header["needs"] not in self._trt.creators:
            return f"failed, getPluginCreator could not find plugin {header['needs']}"
        return ""
