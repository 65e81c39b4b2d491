"""TensorRT's Python interface as far as running engines needs it.

Each protocol has the name of TensorRT's class, so that a test can hold its members against the bindings of the oldest
and the newest release; `TensorRt` is the module. What TensorRT-RTX alone has is in `rtx_interface`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

Shape = Sequence[int]


class Member(Protocol):
    """A member of one of TensorRT's enumerations."""

    @property
    def name(self) -> str:
        """The member's name."""


class ILogger(Protocol):
    """Takes messages; its own members are severities."""

    INTERNAL_ERROR: Member
    ERROR: Member

    def log(self, severity: Member, msg: str) -> None:
        """Take a message."""


class IExecutionContext(Protocol):
    """Runs an engine on inputs of one shape."""

    def set_device_memory(self, memory: int, size: int) -> None:
        """Give the context its scratch memory."""

    def set_input_shape(self, name: str, shape: Shape) -> bool:
        """Set the shape of an input; return whether the engine takes it."""

    def set_tensor_address(self, name: str, memory: int) -> bool:
        """Say where a tensor lies on the GPU."""

    def get_tensor_shape(self, name: str) -> Shape:
        """Return the shape of a tensor for the inputs' shapes."""

    def execute_async_v3(self, stream_handle: int) -> bool:
        """Put a run on a stream; return whether that succeeded."""


class LayerInformationFormat(Protocol):
    """How an inspector writes."""

    JSON: Member


class EngineInspector(Protocol):
    """Tells of an engine's layers."""

    def get_engine_information(self, format: Member) -> str:  # noqa: A002
        """Return a description of all layers."""


class ExecutionContextAllocationStrategy(Protocol):
    """Who allocates the scratch memory of a context."""

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

    def get_tensor_shape(self, name: str) -> Shape:
        """Return the shape of a tensor, -1 for what varies."""

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> Sequence[Shape]:
        """Return the least, the usual and the largest shape of an input."""

    def create_execution_context(self, strategy: Member) -> IExecutionContext | None:
        """Return a context, or None if there is no memory for it."""

    def create_engine_inspector(self) -> EngineInspector:
        """Return an inspector of this engine."""


class Runtime(Protocol):
    """Loads engines."""

    def deserialize_cuda_engine(self, serialized_engine: bytes | memoryview) -> ICudaEngine | None:
        """Return the engine, or None if it cannot be loaded."""


class IPluginRegistry(Protocol):
    """Knows plugins."""

    def load_library(self, plugin_path: str) -> object | None:
        """Register the plugins of a library; return a handle, or None if that failed."""


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
        """The class that loads engines; None is what it makes where the GPU cannot be used."""

    @property
    def ExecutionContextAllocationStrategy(self) -> type[_Strategy]:  # noqa: N802
        """The enumeration of that name."""

    @property
    def LayerInformationFormat(self) -> type[_Format]:  # noqa: N802
        """The enumeration of that name."""

    def get_plugin_registry(self) -> IPluginRegistry:
        """Return the process's registry of plugins."""

    def init_libnvinfer_plugins(self, logger: _ILogger, namespace: str) -> bool:
        """Register the plugins that come with TensorRT."""
