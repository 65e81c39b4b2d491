"""Run an exported PEM: image in, panoptic result out. Never imports torch.

What is named here is imported when first used, so that ``import runtime`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime import backends, drawing, labels, metrics, postprocess
    from runtime.errors import PemError
    from runtime.loading import load
    from runtime.result import Result
    from runtime.segmenter import Segmenter
    from runtime.segments import Instance, Segment

__all__ = [
    "Instance",
    "PemError",
    "Result",
    "Segment",
    "Segmenter",
    "backends",
    "drawing",
    "labels",
    "load",
    "metrics",
    "postprocess",
]

_HOMES = {
    "Instance": "segments",
    "PemError": "errors",
    "Result": "result",
    "Segment": "segments",
    "Segmenter": "segmenter",
    "load": "loading",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _HOMES:
        return getattr(import_module(f"runtime.{_HOMES[name]}"), name)
    return import_module(f"runtime.{name}")
