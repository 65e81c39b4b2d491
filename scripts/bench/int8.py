#!/usr/bin/env python
"""Time a model in single precision and in INT8 on this machine's CPUs, in every backend, taking turns.

Writes a Markdown table with everything needed to repeat it to standard output. Weights are random: speed does not
depend on them.
"""

from __future__ import annotations

import argparse
import math
import platform
import sys
import tempfile
from contextlib import ExitStack, closing
from datetime import date
from importlib.metadata import version
from pathlib import Path

import msgspec
import onnx

sys.path.insert(0, str(Path(__file__).parents[2]))
from pem_edge import calibration, pem
from pem_edge.export.graph import tracing
from pem_edge.export.graph.operation_forms import Forms
from pem_edge.export.graph.rewrites import prepare
from pem_edge.export.int8 import speed
from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.manifest import InputSpec, Manifest
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.cli import shared_options
from pem_edge.runtime.machine import usable_cpus
from reference.weights import randomized

CLASSES, IMAGES = 19, 8


def main() -> None:
    options = parse()
    spec = InputSpec(height=options.size[0], width=options.size[1])
    model = randomized(pem.build(options.variant, num_classes=CLASSES))
    forms = {"fp32, phases": Forms(), "fp32, transposed": Forms(upsample="transposed")}
    models = {name: tracing.to_onnx(prepare(model, form), tracing.example_for(spec)) for name, form in forms.items()}
    images = calibration.gather(f"toy:{IMAGES}:{spec.height}x{spec.width}:1", spec, IMAGES)
    single = models["fp32, phases"]
    models["int8"], made = calibration.quantize(single, calibration.statistics(single, images), "cpu")
    speed.RUNS, speed.SECONDS = options.runs, math.inf
    print(
        f"{options.variant} at {spec.height}x{spec.width}, {made.share_of_all:.1%} of multiply-accumulates in INT8; "
        f"median of {options.runs} runs that take turns, {usable_cpus()} processors, {cpu()}, Python "
        f"{platform.python_version()}, {date.today()}\n\n| | ms | INT8 is faster by |\n| --- | --- | --- |"
    )
    for backend in ("onnxruntime", "openvino"):
        for name, time in clock(models, backend, described(model, spec)).items():
            print(f"| {backend} {version(backend)}, {name} | {time[0]:.1f} | {time[1]:.2f} |")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", default="pem-stdc1", choices=list(pem.VARIANTS))
    parser.add_argument("--size", type=shared_options.size, default=(512, 1024))
    parser.add_argument("--runs", type=int, default=30)
    return parser.parse_args()


def described(model: pem.MaskClassifier, spec: InputSpec) -> Manifest:
    labels = tuple(msgspec.structs.replace(artifact.read("demo").manifest.classes[0], id=i) for i in range(CLASSES))
    demo = artifact.read("demo").manifest
    return msgspec.structs.replace(demo, input=spec, classes=labels, queries=model.num_queries)


def clock(models: dict[str, onnx.ModelProto], backend: str, manifest: Manifest) -> dict[str, tuple[float, float]]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        engines: dict[str, Backend] = {}
        for name, proto in models.items():
            path = Path(folder) / f"{len(engines)}.onnx"
            onnx.save(proto, path)
            engine = backends.create(backend, Artifact(path, manifest))
            engines[name] = stack.enter_context(closing(engine))
        found = speed.time_backends(engines)
    return {name: (time, time / found["int8"]) for name, time in found.items()}


def cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main()
