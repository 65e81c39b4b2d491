"""The OpenVINO backend."""

from pem_edge.runtime.backends.openvino.backend import OpenVino, core

__all__ = ["OpenVino", "core"]
