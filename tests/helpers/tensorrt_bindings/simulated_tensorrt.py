"""TensorRT's runtime on a simulated machine. It exists because no GPU is at hand in CI.

Engines are ONNX models behind a header.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Sequence
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.helpers.tensorrt_bindings.simulated_engine import DataType, ICudaEngine
from tests.helpers.tensorrt_bindings.simulated_machine import Handle, Machine
from tests.helpers.tensorrt_bindings.simulated_rtx import CudaGraphStrategy, ExecutionContextAllocationStrategy

_MAGIC = b"simulated engine"
OURS, NVIDIAS = "PemDeformConv", "ModulatedDeformConv2d"


class ILogger:
    """See TensorRT."""

    INTERNAL_ERROR, ERROR, WARNING = 0, 1, 2

    def log(self, severity: int, msg: str) -> None:
        """To be overridden."""
        raise NotImplementedError


def engine_bytes(
    model: bytes,
    least: Sequence[int],
    most: Sequence[int],
    version: str,
    half: bool = False,
    needs: str = "",
    recordable: bool = True,
) -> bytes:
    """Return a serialized engine.

    Sizes are those of its profile, ``needs`` is a plugin, ``recordable`` says whether graphs can hold it.
    """
    header = {
        "version": version,
        "least": [*least],
        "most": [*most],
        "output": "HALF" if half else "FLOAT",
        "needs": needs,
        "recordable": recordable,
        "size": len(model),
    }
    return _MAGIC + json.dumps(header).encode() + b"\n" + model


class TensorRt:
    """An installed TensorRT: what its module holds is in `module`."""

    def __init__(self, machine: Machine, name: str, version: str) -> None:
        self.machine = machine
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
        self.logger: Any = None

    def error(self, message: str) -> None:
        """Log an error."""
        self.logger.log(ILogger.ERROR, f"Error Code 1: {message}\n")

    def own(self, thing: object) -> None:
        """``thing`` must be let go of, in the context that it was made in."""
        name, token, context = type(thing).__name__, self.machine.made(Handle()), self.machine.current()
        if context is None:
            self.machine.fault(f"{name} is made without a CUDA context")

        def gone() -> None:
            if self.machine.current() is not context:
                self.machine.fault(f"{name} dies in another context")
            self.machine.destroyed(token)

        weakref.finalize(thing, gone).atexit = False

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
        trt.own(self)

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
