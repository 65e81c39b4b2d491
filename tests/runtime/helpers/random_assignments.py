"""Runs the compiled functions at random sizes, for a library that watches itself: python -m ... LIBRARY."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.inference.postprocess.acceptance import Candidates, build_segments
from pem_edge.runtime.inference.postprocess.compiled_assignment import CompiledAssignment
from pem_edge.runtime.inference.postprocess.native import build, library

RUNS = 15


def run(functions: library.Functions, seed: int) -> None:
    """One assignment; every other one has masks in half precision, and the last grid point takes part in most."""
    rng = np.random.default_rng(seed)
    grid = rng.integers(1, 40, 2)
    image, output = 4 * grid - rng.integers(0, 4, 2), rng.integers(1, 150, 2)
    padded_size, image_size, output_size = ((int(size[0]), int(size[1])) for size in (4 * grid, image, output))
    queries = int(rng.integers(1, 70))
    masks = rng.normal(0, rng.choice([1e-3, 4, 200]), (queries, *grid)).astype([np.float32, np.float16][seed % 2])
    kept = np.flatnonzero((rng.uniform(size=queries) < 0.7) | (np.arange(queries) == queries - 1))
    among = Candidates(kept, rng.uniform(0.01, 1, len(kept)).astype(np.float32), rng.integers(0, 5, len(kept)))
    geometry = Geometry(padded_size, image_size, output_size)
    build_segments(CompiledAssignment(masks, kept, among.scores, geometry, functions), among, {1, 2}, 0.8)


def main() -> None:
    """Every instruction set that this processor has."""
    path = Path(sys.argv[1])
    names = list(build.instruction_sets())
    for name in names[names.index(library.functions(path).instruction_set) :]:
        for seed in range(RUNS):
            run(library.functions(path, name), seed)
    print("done")


if __name__ == "__main__":
    main()
