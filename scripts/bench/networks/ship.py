#!/usr/bin/env python
"""Compare what people would ship, each at the size that it is used at: work, time on this CPU, what is published of it.

Weights are random; time is that of the network alone in the faster of ONNX Runtime and OpenVINO. Writes Markdown to
standard output. Takes some minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[3]))
from pem_edge import pem
from pem_edge.export import workload
from pem_edge.export.graph import tracing
from pem_edge.export.graph.operation_forms import Forms
from pem_edge.export.graph.rewrites import prepare
from pem_edge.runtime.artifacts.manifest import InputSpec
from pem_edge.runtime.artifacts.sections import Work
from pem_edge.runtime.backends.openvino import core
from pem_edge.runtime.machine import cpu
from scripts.bench.networks.turns import Prepare, Run, medians
from scripts.reports.markdown import table

ROUNDS = 5


class Row(NamedTuple):
    """A variant as it is used, and what is published of it."""

    variant: str
    classes: int
    height: int
    width: int
    published: str
    license: str


ROWS = (
    Row("pem-stdc1", 19, 1024, 2048, "Cityscapes mIoU 78.3", "no public weights"),
    Row("pem-r50", 19, 1024, 2048, "Cityscapes PQ 61.1", "no public weights"),
    Row("pem-r50", 150, 640, 640, "ADE20K PQ 38.5", "no public weights"),
    Row("eomt-s", 133, 640, 640, "COCO PQ 46.7", "MIT"),
    Row("eomt-b", 133, 640, 640, "COCO PQ 51.6", "MIT"),
    Row("mask2former-swin-t", 133, 800, 1344, "COCO PQ 53.2", "CC BY-NC 4.0, not for commercial use"),
)


def main() -> None:
    rows = []
    with TemporaryDirectory() as name:
        for row in ROWS:
            path = Path(name) / "model.onnx"
            work = export(row, path)
            print(f"timing {row.variant} at {row.height}x{row.width}", file=sys.stderr)
            seconds, backend = fastest(path, row)
            rows.append(line(row, work, seconds, backend))
    print(page(rows))


def export(row: Row, path: Path) -> Work:
    """Write the graph to ``path``; return its work."""
    print(f"tracing {row.variant} at {row.height}x{row.width}", file=sys.stderr)
    model, spec = pem.build(row.variant, row.classes).eval(), InputSpec(height=row.height, width=row.width)
    proto = tracing.to_onnx(prepare(model, Forms(), (row.height, row.width)), tracing.example_for(spec))
    onnx.save(proto, path)
    return workload.count(proto, spec, sum(parameter.numel() for parameter in model.parameters()))


def fastest(path: Path, row: Row) -> tuple[float, str]:
    """Return the median seconds of the faster backend, and its name."""
    image = np.random.default_rng(0).integers(0, 256, (1, row.height, row.width, 3), np.uint8)
    backends: dict[str, Prepare] = {
        "ONNX Runtime": partial(in_onnxruntime, path, image),
        "OpenVINO": partial(in_openvino, path, image),
    }
    return min((found["run"], name) for name, found in medians(backends, ROUNDS).items())


def in_onnxruntime(path: Path, image: NDArray[np.uint8]) -> Mapping[str, Run]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return {"run": partial(session.run, None, {"image": image})}


def in_openvino(path: Path, image: NDArray[np.uint8]) -> Mapping[str, Run]:
    return {"run": partial(core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}), {"image": image})}


def line(row: Row, work: Work, seconds: float, backend: str) -> list[str]:
    return [
        row.variant,
        f"{row.height}x{row.width}",
        f"{work.parameters / 1e6:.1f}",
        f"{work.macs_total / 1e9:.0f}",
        f"{seconds * 1e3:.0f}",
        backend,
        row.published,
        row.license,
    ]


def page(rows: Sequence[Sequence[str]]) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "onnxruntime", "openvino"))
    header = ["variant", "size", "parameters, M", "GMAC", "ms", "faster in", "published", "license of public weights"]
    return "\n\n".join(
        [
            f"# What should I ship?, {date.today():%-d %B %Y}",
            f"`scripts/bench/networks/ship.py`; {packages}; {cpu.name()}, {torch.get_num_threads()} threads. The "
            f"network alone in single precision, random weights, medians of {ROUNDS} runs.",
            table(header, rows),
        ]
    )


if __name__ == "__main__":
    main()
