"""Median times of the postprocessing on one core: `taskset -c 0 python scripts/bench/postprocess.py` on Linux."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before numpy is loaded

import cv2

sys.path.insert(0, str(Path(__file__).parents[2]))

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.cli.shared_options import size
from pem_edge.runtime.inference import postprocess
from reference.synthetic import synthetic


def median_milliseconds(call: Callable[[], object], runs: int) -> float:
    call()
    return 1000 * statistics.median(seconds(call) for _ in range(runs))


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=size, default=(1024, 2048), help="of the network's input (default 1024x2048)")
    parser.add_argument("--output", type=size, help="of the results (default: the same)")
    parser.add_argument("--labels", default="cityscapes")
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    classes = labels.load(options.labels)
    height, width = options.size
    predictions = synthetic().predictions(len(classes), height // 4, width // 4)
    geometry = vars(Geometry(options.size, options.size, options.output or options.size))
    things = labels.things(classes)
    for name, call in {
        "panoptic": lambda: postprocess.panoptic(*predictions, things=things, **geometry),
        "semantic": lambda: postprocess.semantic(*predictions, **geometry),
        "instances": lambda: postprocess.instances(*predictions, things=things, **geometry),
    }.items():
        print(f"{name:<10} {median_milliseconds(call, options.runs):7.1f} ms")


if __name__ == "__main__":
    main()
