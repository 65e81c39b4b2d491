"""Running exported models: an image in, a panoptic result out. This package never imports torch.

Public names are imported on first use, so that importing this package is fast.

Example:
    >>> from pem_edge import runtime
    >>> with runtime.load("demo") as segmenter:
    ...     result = segmenter("demo:street")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pem_edge.runtime import lazy_names

if TYPE_CHECKING:
    from pem_edge.runtime import backends, images
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
    "images",
    "labels",
    "load",
    "metrics",
    "postprocess",
]

__getattr__, __dir__ = lazy_names.importer(
    __name__,
    {
        "Instance": "results.segments",
        "PemError": "errors",
        "Result": "results.result",
        "Segment": "results.segments",
        "Segmenter": "inference.segmenter",
        "backends": ".backends",
        "drawing": ".results.drawing",
        "images": ".images",
        "labels": ".artifacts.labels",
        "load": "loading",
        "metrics": ".evaluation.metrics",
        "postprocess": ".inference.postprocess",
    },
)
