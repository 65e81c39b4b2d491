"""Protocols for the parts of TensorRT's Python interface that running engines needs.

Each protocol is named after TensorRT's class, so that a test can compare its members with the bindings of the oldest
and the newest release; `TensorRt` describes the module. `rtx_interface` has what only TensorRT-RTX offers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

Dims = Sequence[int]
"""The shape of a tensor."""


class Member(Protocol):
    """A member of one of TensorRT's enumerations."""

    @property
    def name(self) -> str:
        """The member's name."""


class ILogger(Protocol):
    """Receives messages; its enumeration members are severities."""

    INTERNAL_ERROR: Member
    ERROR: Member

    def log(self, severity: Member, msg: str) -> None:
        """Receive a message."""


class IExecutionContext(Protocol):
    """Runs an engine on inputs of one shape."""

    def set_device_memory(self, memory: int, size: int) -> None:
        """Set the context's scratch memory."""

    def set_input_shape(self, name: str, shape: Dims) -> bool:
        """Set the shape of an input, and return whether the engine accepts it."""

    def set_tensor_address(self, name: str, memory: int) -> bool:
        """Set the address of a tensor on the GPU."""

    def get_tensor_shape(self, name: str) -> Dims:
        """Return the shape of a tensor, given the shapes set for the inputs."""

    def execute_async_v3(self, stream_handle: int) -> bool:
        """Enqueue a run on a stream, and return whether that succeeded."""


class LayerInformationFormat(Protocol):
    """Formats of an inspector's descriptions."""

    JSON: Member


class EngineInspector(Protocol):
    """Describes an engine's layers."""

    def get_engine_information(self, format: Member) -> str:  # noqa: A002
        """Return a description of all layers."""


class ExecutionContextAllocationStrategy(Protocol):
    """Strategies for allocating the scratch memory of a context."""

    USER_MANAGED: Member


class ICudaEngine(Protocol):
    """A deserialized engine."""

    @property
    def num_io_tensors(self) -> int:
        """The number of inputs and outputs."""

    @property
    def device_memory_size_v2(self) -> int:
        """The bytes of scratch memory that a context needs."""

    def get_tensor_name(self, index: int) -> str:
        """Return the name of an input or output."""

    def get_tensor_dtype(self, name: str) -> Member:
        """Return the type of a tensor."""

    def get_tensor_shape(self, name: str) -> Dims:
        """Return the shape of a tensor, with -1 for dynamic dimensions."""

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> Sequence[Dims]:
        """Return the minimum, the optimal and the maximum shape of an input."""

    def create_execution_context(self, strategy: Member) -> IExecutionContext | None:
        """Return a context, or None if there is no memory for it."""

    def create_engine_inspector(self) -> EngineInspector:
        """Return an inspector of this engine."""


class Runtime(Protocol):
    """Deserializes engines."""

    def deserialize_cuda_engine(self, serialized_engine: bytes | memoryview) -> ICudaEngine | None:
        """Return the engine, or None if it cannot be loaded."""


class IPluginRegistry(Protocol):
    """Registers plugins."""

    def load_library(self, plugin_path: str) -> object | None:
        """Register the plugins of a library, and return a handle, or None if that failed."""


_ILogger: TypeAlias = ILogger
_Runtime: TypeAlias = Runtime
_Strategy: TypeAlias = ExecutionContextAllocationStrategy
_Format: TypeAlias = LayerInformationFormat


class TensorRt(Protocol):
    """The module ``tensorrt`` or ``tensorrt_rtx``."""

    __name__: str
    __version__: str

    def __hash__(self) -> int:
        """Return the hash of the module."""

    @property
    def ILogger(self) -> type[_ILogger]:  # noqa: N802
        """The base class of loggers."""

    @property
    def Runtime(self) -> Callable[[_ILogger], _Runtime | None]:  # noqa: N802
        """The class that deserializes engines; calling it returns None if the GPU cannot be used."""

    @property
    def ExecutionContextAllocationStrategy(self) -> type[_Strategy]:  # noqa: N802
        """The enumeration `ExecutionContextAllocationStrategy`."""

    @property
    def LayerInformationFormat(self) -> type[_Format]:  # noqa: N802
        """The enumeration `LayerInformationFormat`."""

    def get_plugin_registry(self) -> IPluginRegistry:
        """Return the process's plugin registry."""

    def init_libnvinfer_plugins(self, logger: _ILogger, namespace: str) -> bool:
        """Register the plugins that come with TensorRT."""
