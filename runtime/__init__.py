"""Run exported models: image in, panoptic result out. Never imports torch.

Public names are imported when they are first used, so that importing this package takes next to no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pem_edge.runtime import backends
    from pem_edge.runtime.artifacts import labels
    from pem_edge.runtime.errors import PemError
    from pem_edge.runtime.evaluation import metrics
    from pem_edge.runtime.inference import postprocess
    from pem_edge.runtime.inference.segmenter import Segmenter
    from pem_edge.runtime.loading import load
    from pem_edge.runtime.results import drawing
    from pem_edge.runtime.results.result import Result
    from pem_edge.runtime.results.segments import Instance, Segment

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

_MODULES = {
    "backends": "backends",
    "drawing": "results.drawing",
    "labels": "artifacts.labels",
    "metrics": "evaluation.metrics",
    "postprocess": "inference.postprocess",
}
_NAMES = {
    "Instance": "results.segments",
    "PemError": "errors",
    "Result": "results.result",
    "Segment": "results.segments",
    "Segmenter": "inference.segmenter",
    "load": "loading",
}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"{__name__}.{_MODULES[name]}")
    if name in _NAMES:
        return getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
