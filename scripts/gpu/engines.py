"""Engines of every variant: built as a user builds them, held against the module, and timed."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from safetensors.torch import save_file

from pem_edge import pem
from pem_edge.export import parity
from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.verification.differences import TOLERANCES
from reference.weights import randomized
from scripts.gpu import stages

RUNS, WARM_UP = 200, 30
CLASSES = 19


def run(out: Path, variants: list[str], sizes: list[str]) -> dict[str, Any]:
    """Return one row for each variant, size and precision; "failed" names those that did not build or lost parity."""
    rows = [
        _check(out / "engines", variant, size, precision)
        for variant, size, precision in product(variants, sizes, ("fp32", "fp16"))
    ]
    failed = [f"{row['variant']} {row['size']} {row['precision']}: {row['failed']}" for row in rows if "failed" in row]
    return {"rows": rows, **({"failed": failed} if failed else {})}


def _check(folder: Path, variant: str, size: str, precision: str) -> dict[str, Any]:
    row: dict[str, Any] = {"variant": variant, "size": size, "precision": precision}
    print(f"gpu_check: {variant} {size} {precision}", file=sys.stderr)
    try:
        weights = _weights(folder, variant)
        built = _export(weights, size, precision, folder / f"{variant}-{size}-{precision}")
        return {**row, **_measure(pem.load(weights), Path(built["model"]))}
    except Exception as error:  # one engine must not take the others with it
        return {**row, "failed": str(error)}


def _weights(folder: Path, variant: str) -> Path:
    """Return random weights, the same every time: neither speed nor parity depends on training."""
    path = folder / f"{variant}.safetensors"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        save_file(randomized(pem.build(variant, num_classes=CLASSES)).state_dict(), path)
    return path


def _export(weights: Path, size: str, precision: str, out: Path) -> dict[str, Any]:
    options = ["--weights", str(weights), "--to", "trt", "--size", size, "--precision", precision, "-o", str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "pem_edge.export.cli.export", *options, "--overwrite", "--json"],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return dict(json.loads(done.stdout))


def _measure(model: pem.PEM, path: Path) -> dict[str, Any]:
    found = artifact.read(path)
    engine = backends.create(None, found)
    try:
        tolerance = TOLERANCES[found.manifest.precision]
        agreed = parity.measure(model, [engine], parity.sizes_for(found.manifest.input), tolerance)[engine.name]
        assert found.manifest.engine is not None
        return {
            "deform_conv": found.manifest.deform_conv,
            "layers": found.manifest.engine.layers,
            "parity": msgspec.to_builtins(agreed),
            "milliseconds": _times(engine, found.manifest.input.height, found.manifest.input.width),
            "stages": stages.measure(engine),
            **({} if agreed.passed else {"failed": "parity with the module"}),
        }
    finally:
        engine.close()


def _times(engine: Backend, height: int, width: int) -> dict[str, dict[str, float]]:
    """Return the times from host to host, transfers included, and from an image that is on the GPU already."""
    image = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    return {"host": _clock(engine, image), "device": _clock(engine, torch.from_numpy(image).cuda())}


def _clock(engine: Backend, image: Any) -> dict[str, float]:
    for _ in range(WARM_UP):
        engine(image)
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        engine(image)
        times.append(1000 * (time.perf_counter() - start))
    mean = statistics.fmean(times)
    p50, p90, p99 = np.percentile(times, [50, 90, 99]).tolist()
    return {"p50": p50, "p90": p90, "p99": p99, "mean": mean, "fps": 1000 / mean, "cv": statistics.stdev(times) / mean}
