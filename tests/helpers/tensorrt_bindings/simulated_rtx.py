"""Simulates the parts of TensorRT-RTX's runtime that TensorRT does not have."""

from __future__ import annotations

import json
from enum import IntEnum


class ExecutionContextAllocationStrategy(IntEnum):
    """See TensorRT."""

    STATIC = 0
    USER_MANAGED = 2


class CudaGraphStrategy(IntEnum):
    """See TensorRT-RTX."""

    DISABLED = 0
    WHOLE_GRAPH_CAPTURE = 1


class IRuntimeConfig:
    """See TensorRT-RTX."""

    def __init__(self) -> None:
        self.strategy = ExecutionContextAllocationStrategy.STATIC
        self.cuda_graph_strategy = CudaGraphStrategy.DISABLED
        self._cache: IRuntimeCache | None = None

    def set_execution_context_allocation_strategy(self, strategy: ExecutionContextAllocationStrategy) -> None:
        """See TensorRT-RTX."""
        self.strategy = strategy

    def create_runtime_cache(self) -> IRuntimeCache:
        """See TensorRT-RTX."""
        return IRuntimeCache()

    def set_runtime_cache(self, cache: IRuntimeCache) -> bool:
        """See TensorRT-RTX."""
        self._cache = cache
        return True

    def add_kernels(self, shape: tuple[int, ...]) -> None:
        """Add the kernels for images of ``shape`` to the cache."""
        if self._cache is not None:
            self._cache.kernels.add(repr(shape))


class IRuntimeCache:
    """See TensorRT-RTX."""

    def __init__(self) -> None:
        self.kernels: set[str] = set()

    def serialize(self) -> memoryview:
        """See TensorRT-RTX."""
        return memoryview(json.dumps(sorted(self.kernels)).encode())

    def deserialize(self, blob: bytes) -> bool:
        """See TensorRT-RTX."""
        if not blob.startswith(b"["):
            return False
        self.kernels |= set(json.loads(blob))
        return True
