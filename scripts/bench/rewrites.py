#!/usr/bin/env python
"""Time what the exact rewrites gain: one set of weights, as exported and in the published formulation, interleaved.

Writes a Markdown table with everything needed to repeat it to standard output. Weights are random: speed does not
depend on them.
"""

from __future__ import annotations

import argparse
import copy
import platform
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
from pem_edge import pem
from pem_edge.export.graph import tracing
from pem_edge.export.graph.operation_forms import Forms
from pem_edge.export.graph.rewrites import prepare, use_deform_conv_node
from pem_edge.runtime.artifacts.manifest import InputSpec
from pem_edge.runtime.cli import shared_options
from pem_edge.runtime.machine import usable_cpus
from reference.published_form import ReferenceForm


def main() -> None:
    options = parse()
    spec = InputSpec(height=options.size[0], width=options.size[1])
    with tempfile.TemporaryDirectory() as folder:
        sessions = {name: session(Path(folder), proto) for name, proto in graphs(options.variant, spec).items()}
    image = np.random.default_rng(0).integers(0, 256, (1, *options.size, 3), dtype=np.uint8)
    title = f"{options.variant} at {options.size[0]}x{options.size[1]}"
    report(title, options.runs, clock(sessions, image, options.runs))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", default="pem-stdc1", choices=list(pem.VARIANTS))
    parser.add_argument("--size", type=shared_options.size, default=(512, 1024))
    parser.add_argument("--runs", type=int, default=40)
    return parser.parse_args()


def graphs(variant: str, spec: InputSpec) -> dict[str, onnx.ModelProto]:
    torch.manual_seed(0)
    model = pem.build(variant, num_classes=19).eval()
    published = copy.deepcopy(model)
    use_deform_conv_node(published, "native")
    modules = {
        "published formulation": ReferenceForm(published),
        "exported, native": prepare(model, Forms(deform_conv="native")),
        "exported, standard (default)": prepare(model, Forms(deform_conv="standard")),
    }
    return {name: tracing.to_onnx(module, tracing.example_for(spec)) for name, module in modules.items()}


def session(folder: Path, proto: onnx.ModelProto) -> onnxruntime.InferenceSession:
    onnx.save(proto, folder / "model.onnx")
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = usable_cpus()
    return onnxruntime.InferenceSession(folder / "model.onnx", settings, providers=["CPUExecutionProvider"])


def clock(sessions: dict[str, onnxruntime.InferenceSession], image: np.ndarray, runs: int) -> dict[str, list[float]]:
    """Return milliseconds of each run; the sessions take turns, so that a drifting machine favors none."""
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for run in range(-3, runs):
        for name, one in sessions.items():
            start = time.perf_counter()
            one.run(None, {"image": image})
            if run >= 0:
                times[name].append(1000 * (time.perf_counter() - start))
    return times


def report(title: str, runs: int, times: dict[str, list[float]]) -> None:
    slowest = np.array(times["published formulation"])
    print(
        f"{title}, onnxruntime {onnxruntime.__version__}, fp32, ",
        end="",
    )
    print(
        f"{usable_cpus()} threads, {runs} interleaved runs; torch {torch.__version__}, {platform.machine()}, ",
        end="",
    )
    print(f"Python {platform.python_version()}, {date.today()}\n")
    print(
        "| graph | median ms | p90 ms | minimum ms | times as fast (median of ratios) |\n"
        "| --- | --- | --- | --- | --- |"
    )
    for name, values in times.items():
        ratio = float(np.median(slowest / np.array(values)))
        p50, p90 = np.percentile(values, [50, 90])
        print(f"| {name} | {p50:.1f} | {p90:.1f} | {min(values):.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
