"""Protocols for the parts of TensorRT-RTX's building interface that TensorRT lacks."""

from __future__ import annotations

from typing import Protocol

from pem_edge.export.engine.tensorrt import interface


class IBuilderConfig(interface.IBuilderConfig, Protocol):
    """Says how to build."""

    num_compute_capabilities: int

    def set_compute_capability(self, compute_capability: object, index: int) -> bool:
        """Set one of the GPUs to build for; return whether that succeeded."""


class TensorRt(interface.TensorRt, Protocol):
    """The module ``tensorrt_rtx``."""

    ComputeCapability: type
