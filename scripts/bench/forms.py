#!/usr/bin/env python
"""Time the forms of deformable convolution, or of deformable attention, beside each other in every backend for CPUs.

Writes Markdown tables to standard output. All graphs of a variant take turns, so that a drifting machine favors none.
Weights are random, and offsets with them: speed does not depend on what the weights were trained for.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import date
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).parents[2]))
from pem_edge import pem
from pem_edge.export.graph import tracing
from pem_edge.export.graph.operation_forms import DeformConvForm, Forms
from pem_edge.export.graph.rewrites import prepare
from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.manifest import InputSpec, Manifest
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.benchmark import machine
from pem_edge.runtime.cli import shared_options
from reference.weights import randomized
from scripts.reports.markdown import table

CLASSES, WARM_UP = 19, 2
Times = dict[tuple[str, DeformConvForm], list[float]]
"""Milliseconds of each run, by backend and form."""


def main() -> None:
    options = parse()
    packages = ("torch", "onnxruntime", "openvino", "numpy")
    print(
        f"{machine.describe().cpu}, {machine.describe().cores} cores; "
        f"{', '.join(f'{name} {version(name)}' for name in packages)}; {date.today()}"
    )
    for variant in options.variants:
        print(section(variant, InputSpec(height=options.size[0], width=options.size[1]), options.runs), flush=True)


def section(variant: str, spec: InputSpec, runs: int) -> str:
    before = os.getloadavg()[0]
    times = clock(variant, spec, runs)
    return (
        f"\n## {variant} at {spec.height}x{spec.width}\n\n{runs} runs of each, in turns. Load of the machine, of which "
        f"these runs make up to 2: {before:.1f} before, {os.getloadavg()[0]:.1f} after.\n\n{report(times)}"
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variants", nargs="*", default=["pem-stdc1"], metavar="VARIANT", help="default: pem-stdc1")
    parser.add_argument("--size", type=shared_options.size, default=(512, 1024), help="default: 512x1024")
    parser.add_argument("--runs", type=shared_options.positive, default=20, help="default: %(default)s")
    return parser.parse_args()


def clock(variant: str, spec: InputSpec, runs: int) -> Times:
    model = randomized(pem.build(variant, num_classes=CLASSES))
    image = np.random.default_rng(0).integers(0, 256, (1, spec.height, spec.width, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        loaded = {key: stack.enter_context(closing(engine)) for key, engine in engines(model, spec, Path(folder))}
        times: Times = {key: [] for key in loaded}
        for _ in range(WARM_UP + runs):
            for key, engine in loaded.items():
                start = time.perf_counter()
                engine(image)
                times[key].append(1000 * (time.perf_counter() - start))
    return {key: found[WARM_UP:] for key, found in times.items()}


def engines(
    model: pem.MaskClassifier, spec: InputSpec, folder: Path
) -> Iterator[tuple[tuple[str, DeformConvForm], Backend]]:
    forms: tuple[DeformConvForm, ...] = ("standard", "native", "gather")
    for form in forms if model.variant.startswith("pem") else ("standard", "gather"):
        path = folder / f"{form}.onnx"
        onnx.save(tracing.to_onnx(prepare(model, Forms(deform_conv=form)), tracing.example_for(spec)), path)
        described = Artifact(path, manifest(model, spec, form))
        for name in backends.available_for(described):
            yield (name, form), backends.create(name, described)


def manifest(model: pem.MaskClassifier, spec: InputSpec, form: DeformConvForm) -> Manifest:
    demo = artifact.read("demo").manifest
    labels = tuple(msgspec.structs.replace(demo.classes[0], id=index) for index in range(CLASSES))
    return msgspec.structs.replace(demo, input=spec, classes=labels, queries=model.num_queries, deform_conv=form)


def report(times: Times) -> str:
    rows = []
    for (backend, form), found in sorted(times.items()):
        least, median, most = np.percentile(found, [0, 50, 90])
        ratio = np.median(np.array(times[backend, "standard"]) / found)
        rows.append([backend, form, f"{median:.0f}", f"{least:.0f}", f"{most:.0f}", f"{ratio:.2f}"])
    return table(["backend", "form", "median ms", "minimum ms", "p90 ms", "times as fast as standard"], rows)


if __name__ == "__main__":
    main()
