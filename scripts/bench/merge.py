#!/usr/bin/env python
"""Times both forms of the panoptic merge on one core, against kept queries and boundary pixels: a page and a chart.

Without options it writes docs/results/<today>-merge.md and .png. Linux pins the process; elsewhere that is up to you.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before numpy is loaded

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.benchmark import machine
from pem_edge.runtime.cli import shared_options
from pem_edge.runtime.inference import postprocess
from pem_edge.runtime.inference.postprocess.acceptance import select_candidates
from pem_edge.runtime.inference.postprocess.native import build, library
from reference.synthetic import synthetic

RESULTS = Path(__file__).parents[2] / "docs" / "results"
Size = tuple[int, int]
KEPT = (5, 10, 20, 35, 50, 75, 100)
RIPPLES = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Amplitudes, in logits, of the waves added to masks to lengthen their boundaries."""
ORDINARY = 35
"""Kept queries where boundaries are varied."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """A model's outputs, all of whose queries may be kept or not."""

    name: str
    logits: Array
    masks: Array


@dataclass(frozen=True)
class Row:
    """A case as measured: milliseconds of each form, run by run."""

    name: str
    kept: int
    boundary: int
    milliseconds: Mapping[str, Sequence[float]]

    def median(self, form: str) -> float:
        return statistics.median(self.milliseconds[form])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--size", type=shared_options.size, default=(1024, 2048), help="of image and results (default 1024x2048)"
    )
    parser.add_argument("--runs", type=int, default=21, help="of each form and case (default 21)")
    parser.add_argument("--date", type=date.fromisoformat, default=date.today(), help="of the page (default today)")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, help="the page's folder")
    options = parser.parse_args()
    if postprocess.merging() != "compiled":
        parser.error("the merge is not compiled: python -m pem_edge.runtime.inference.postprocess.native.build")
    use_one_core()
    grid = options.size[0] // 4, options.size[1] // 4
    forms = {"numpy": None, "compiled": library.load()}
    usual = [measure(case, every_form(), options.size, options.runs) for case in usual_cases(*grid)]
    kept = [measure(case, forms, options.size, options.runs) for case in kept_cases(*grid)]
    rippled = [measure(case, forms, options.size, options.runs) for case in rippled_cases(*grid)]
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"{options.date}-merge.md"
    draw(kept, rippled, path.with_suffix(".png"))
    path.write_text(page(options.date, options.size, options.runs, usual, kept, rippled))
    print(path)


def use_one_core() -> None:
    cv2.setNumThreads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def every_form() -> dict[str, library.Functions | None]:
    """Return NumPy, and the compiled form for each instruction set that this processor has."""
    path, names = build.library_path(), list(build.instruction_sets())
    best = library.functions(path).instruction_set
    return {"numpy": None} | {name: library.functions(path, name) for name in names[names.index(best) :]}


def usual_cases(height: int, width: int) -> Iterator[Case]:
    """Yield what the reference data's generator takes for a trained model's outputs."""
    logits, masks = synthetic().predictions(19, height, width)
    yield Case("float32", logits, masks)
    yield Case("float16", logits.astype(np.float16), masks.astype(np.float16))


def kept_cases(height: int, width: int) -> Iterator[Case]:
    """Yield cases in which as many queries take part as are kept."""
    logits, masks = synthetic().predictions(19, height, width, queries=3 * max(KEPT))
    chosen = select_candidates(logits, 0.8).queries
    for count in KEPT:
        yield Case(f"{count} kept", logits[chosen[:count]], masks[chosen[:count]])


def rippled_cases(height: int, width: int) -> Iterator[Case]:
    """Yield the same queries, with boundaries more and more crooked."""
    logits, masks = synthetic().predictions(19, height, width, queries=3 * max(KEPT))
    chosen = select_candidates(logits, 0.8).queries[:ORDINARY]
    noise = np.random.default_rng(0).standard_normal((ORDINARY, height // 8, width // 8)).astype(np.float32)
    waves = np.stack([cv2.resize(plane, (width, height), interpolation=cv2.INTER_CUBIC) for plane in noise])
    for amplitude in RIPPLES:
        yield Case(f"waves of {amplitude:g}", logits[chosen], masks[chosen] + np.float32(amplitude) * waves)


def measure(case: Case, forms: Mapping[str, library.Functions | None], size: Size, runs: int) -> Row:
    """Time the forms in turns."""
    sizes = vars(postprocess.Geometry(size, size, size))
    things = labels.things(labels.load("cityscapes"))
    times: dict[str, list[float]] = {form: [] for form in forms}
    for run in range(runs + 1):
        for form, functions in forms.items():
            with patch.object(library, "load", return_value=functions):
                spent = milliseconds(lambda: postprocess.panoptic(case.logits, case.masks, things=things, **sizes))
            if run:  # the first one is for caches
                times[form].append(spent)
    print(case.name, {form: round(statistics.median(each), 1) for form, each in times.items()}, file=sys.stderr)
    winners, _ = postprocess.panoptic(case.logits, case.masks, things=range(19), overlap_threshold=0, **sizes)
    return Row(case.name, len(select_candidates(case.logits, 0.8).queries), boundary_pixels(winners), times)


def milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


def boundary_pixels(winners: NDArray[np.int32]) -> int:
    """Return pixels whose right or lower neighbor is another one's."""
    edges = np.zeros(winners.shape, np.bool_)
    edges[:, :-1] |= winners[:, :-1] != winners[:, 1:]
    edges[:-1] |= winners[:-1] != winners[1:]
    return int(np.count_nonzero(edges))


def draw(kept: Sequence[Row], rippled: Sequence[Row], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for form, color in (("numpy", "tab:gray"), ("compiled", "tab:blue")):
        left.plot([row.kept for row in kept], [row.median(form) for row in kept], "o-", color=color, label=form)
        right.plot([row.boundary / 1000 for row in rippled], [row.median(form) for row in rippled], "o-", color=color)
    left.set(xlabel="kept queries", ylabel="median ms, one core", yscale="log")
    right.set(xlabel=f"thousand boundary pixels, {ORDINARY} kept queries")
    for axis in (left, right):
        axis.grid(which="both", alpha=0.3)
    left.legend()
    figure.savefig(path, dpi=110)


def page(day: date, size: Size, runs: int, usual: Sequence[Row], kept: Sequence[Row], rippled: Sequence[Row]) -> str:
    picture = f"{day}-merge.png"
    height, width = size
    return f"""# Panoptic merge on the CPU, {day.day} {day:%B %Y}

{description()}
One core, pinned.

`python scripts/bench/merge.py --size {height}x{width} --runs {runs}`: `postprocess.panoptic`, from a
model's outputs to map and segments, forms in turns. Both give the same results
(`tests/runtime/inference/postprocess/test_forms.py`).

## What it takes

`synthetic.predictions(19, {height // 4}, {width // 4})`: 100 queries, of which {usual[0].kept} are kept. The
compiled library has code for several instruction sets; the first here is the one it takes on this processor.

{table(usual)}

## What it grows with

Bounds over the mask grid decide most tiles of the output; the others, those at boundaries, are interpolated. So time
grows with kept queries, whose grids are all read, and with boundary pixels (those whose right or lower neighbor is
won by another query, or by none with a mask of 0.5).

![Time against kept queries and boundary pixels]({picture})

{table(kept)}

Waves of some logits' amplitude, added to the masks of {ORDINARY} kept queries, lengthen the boundaries:

{table(rippled)}
"""


def description() -> str:
    """Return what it ran on."""
    found = machine.describe()
    versions = ", ".join(f"{name} {found.versions[name]}" for name in ("numpy", "opencv-python-headless"))
    return f"{found.cpu}; {found.system}; Python {platform.python_version()}, {versions}."


def table(rows: Sequence[Row]) -> str:
    """Return median milliseconds of each form, and the least."""
    forms = list(rows[0].milliseconds)
    lines = [
        "| outputs | kept queries | boundary pixels |" + "".join(f" {form} ms (least) |" for form in forms),
        "| --- |" + " --- |" * (2 + len(forms)),
    ]
    for row in rows:
        times = "".join(f" {row.median(form):.1f} ({min(row.milliseconds[form]):.1f}) |" for form in forms)
        lines.append(f"| {row.name} | {row.kept} | {row.boundary} |{times}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
