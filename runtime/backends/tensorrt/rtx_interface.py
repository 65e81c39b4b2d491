"""Protocols for what TensorRT-RTX's Python interface has beyond TensorRT's, see `interface`."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from pem_edge.runtime.backends.tensorrt import interface
from pem_edge.runtime.backends.tensorrt.interface import IExecutionContext, Member


class CudaGraphStrategy(Protocol):
    """Strategies for recording CUDA graphs."""

    WHOLE_GRAPH_CAPTURE: Member


class IRuntimeCache(Protocol):
    """A cache of compiled kernels."""

    def deserialize(self, blob: bytes) -> bool:
        """Load a serialized cache, and return whether it is for this GPU and driver."""

    def serialize(self) -> memoryview:
        """Return the cache as bytes."""


class IRuntimeConfig(Protocol):
    """A configuration for creating contexts."""

    cuda_graph_strategy: Member

    def set_execution_context_allocation_strategy(self, strategy: Member) -> None:
        """Set the strategy for allocating scratch memory."""

    def create_runtime_cache(self) -> IRuntimeCache:
        """Return an empty cache."""

    def set_runtime_cache(self, cache: IRuntimeCache) -> bool:
        """Set the cache, and return whether that succeeded."""


class ICudaEngine(interface.ICudaEngine, Protocol):
    """A deserialized engine."""

    def create_runtime_config(self) -> IRuntimeConfig:
        """Return a configuration for contexts."""

    def create_execution_context(self, runtime_config: Member | IRuntimeConfig) -> IExecutionContext | None:
        """Return a context, or None if there is no memory for it."""


_Graphs: TypeAlias = CudaGraphStrategy


class TensorRt(interface.TensorRt, Protocol):
    """The module ``tensorrt_rtx``."""

    @property
    def CudaGraphStrategy(self) -> type[_Graphs]:  # noqa: N802
        """The enumeration `CudaGraphStrategy`."""
