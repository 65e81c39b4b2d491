"""What TensorRT-RTX's Python interface has beyond TensorRT's, see `interface`."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from pem_edge.runtime.backends.tensorrt import interface
from pem_edge.runtime.backends.tensorrt.interface import IExecutionContext, Member


class CudaGraphStrategy(Protocol):
    """Whether TensorRT-RTX records CUDA graphs."""

    WHOLE_GRAPH_CAPTURE: Member


class IRuntimeCache(Protocol):
    """Holds compiled kernels."""

    def deserialize(self, blob: bytes) -> bool:
        """Take in a serialized cache, unless it is of another GPU or driver."""

    def serialize(self) -> memoryview:
        """Return the cache as bytes."""


class IRuntimeConfig(Protocol):
    """Says how contexts are made."""

    cuda_graph_strategy: Member

    def set_execution_context_allocation_strategy(self, strategy: Member) -> None:
        """Say who allocates scratch memory."""

    def create_runtime_cache(self) -> IRuntimeCache:
        """Return an empty cache."""

    def set_runtime_cache(self, cache: IRuntimeCache) -> bool:
        """Use a cache."""


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
        """The enumeration of that name."""
