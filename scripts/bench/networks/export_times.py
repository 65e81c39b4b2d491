#!/usr/bin/env python
"""Time an export by stage: all arguments are those of `pem-export`, which runs in this process.

Writes a Markdown table to standard output. The time of a stage is without that of the stages within it, and importing a
library counts as such wherever it happens.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[3]))
from scripts.reports.markdown import table

IMPORTS, OTHER = "imports", "other"
STAGES = {
    "importlib._bootstrap:_find_and_load": IMPORTS,  # which Python calls for whatever is not imported yet
    "pem_edge.pem.checkpoints:open_checkpoint": "reading the checkpoint",
    "pem_edge.export.artifact:open_images": "reading pictures",
    "pem_edge.export.artifact:prepare": "rewriting the module",
    "torch.export:export": "torch.export",
    "torch.export:ExportedProgram.run_decompositions": "decompositions",
    "torch.onnx:export": "translation to ONNX",
    "pem_edge.export.graph.tracing:clean": "cleaning",
    "pem_edge.export.graph.tracing:to_onnx": "checking the graph",
    "pem_edge.export.parity:_compute": "parity: the module in float64",
    "pem_edge.export.parity:_compare": "parity: backends, comparison",
    "pem_edge.export.int8.quantize:Quantizer.__init__": "INT8: calibration",
    "pem_edge.export.int8.quantize:Quantizer.quantize": "INT8: assessment",
    "pem_edge.calibration:quantize": "INT8: placement",
    "pem_edge.export.artifact:measure_gain": "INT8: timing the gain",
    "pem_edge.export.artifact:_write": "writing",
}
"""What each function's time is counted as."""

P = ParamSpec("P")
R = TypeVar("R")


class Clock:
    """Counts the seconds of nested stages, each without those within it.

    Attributes:
        seconds: By stage, how long it took, and how long all processors worked on it together, which counts where
            others use the machine, too.
    """

    def __init__(self) -> None:
        self.seconds = {stage: np.zeros(2) for stage in (*STAGES.values(), OTHER)}
        self._running, self._since = [OTHER], self._now()

    @contextmanager
    def counting(self, stage: str) -> Iterator[None]:
        """Count time as that of ``stage`` until the end of the block."""
        self._count()
        self._running.append(stage)
        try:
            yield
        finally:
            self._count()
            self._running.pop()

    def count_calls(self, stage: str, function: Callable[P, R]) -> Callable[P, R]:
        """Return ``function``, its calls counted as ``stage``."""

        @wraps(function)
        def counted(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.counting(stage):
                return function(*args, **kwargs)

        return counted

    def _count(self) -> None:
        now = self._now()
        self.seconds[self._running[-1]] += now - self._since
        self._since = now

    @staticmethod
    def _now() -> NDArray[np.float64]:
        return np.array([time.perf_counter(), time.process_time()])


def main() -> int:
    clock = Clock()
    with clock.counting(IMPORTS):
        from pem_edge.export.cli import export

        owners = [find(place) for place in STAGES]
    for (owner, name), stage in zip(owners, STAGES.values(), strict=True):
        setattr(owner, name, clock.count_calls(stage, getattr(owner, name)))
    code = export.main()
    with clock.counting(OTHER):
        packages = ("torch", "onnxscript", "onnx", "onnxruntime", "openvino")
        print(", ".join(f"{package} {version(package)}" for package in packages))
    total = np.sum(list(clock.seconds.values()), axis=0)
    rows = [
        (stage, *(f"{each:.2f}" for each in seconds))
        for stage, seconds in {**clock.seconds, "total": total}.items()
        if seconds.max() >= 0.005
    ]
    print(f"\n{table(('stage', 'seconds', 'seconds of processors'), rows)}")
    return code


def find(place: str) -> tuple[object, str]:
    """Return the module or class that holds the function at ``place``, and the function's name."""
    module, _, path = place.partition(":")
    owner: object = import_module(module)
    *classes, name = path.split(".")
    for each in classes:
        owner = getattr(owner, each)
    return owner, name


if __name__ == "__main__":
    sys.exit(main())
