#!/usr/bin/env python
"""Does a benchmark call an artifact different from itself, and does it see one that is a tenth slower?

In each trial the demo artifact is measured as pem-bench does: against itself, and against
itself with a convolution after each inference, in the same backend and threads, that takes about a tenth of its time.
Writes Markdown to standard output. Let others use the machine meanwhile, or nobody: it says how busy it was.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))
from pem_edge.runtime import loading
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.backends import Settings
from pem_edge.runtime.backends.onnxruntime import OnnxRuntime
from pem_edge.runtime.backends.ort_sessions import open_session
from pem_edge.runtime.benchmark import machine, pictures, rounds, statistics
from pem_edge.runtime.benchmark.measures.limits import probes
from pem_edge.runtime.benchmark.rounds import Subject
from pem_edge.runtime.benchmark.run import Options, comparisons
from pem_edge.runtime.benchmark.schema import Comparison
from pem_edge.runtime.inference.segmenter import Segmenter

SLOWDOWN = 0.1
_CHANNELS, _WIDTH, _CALIBRATION_RUNS = 64, 64, 30


class Slowed(OnnxRuntime):
    """ONNX Runtime with a convolution of ``rows`` rows after each run, whose milliseconds are in ``extra``."""

    def __init__(self, found: Artifact, rows: int) -> None:
        super().__init__(found)
        self.extra: list[float] = []
        self._convolution = convolution(rows)

    def _run(self, images: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
        outputs = super()._run(images)
        self.extra.append(milliseconds(self._convolution))
        return outputs


class Trial(NamedTuple):
    """What came of one: rounds, the share that was added, and all comparisons."""

    rounds: int
    added: float
    found: Sequence[Comparison]

    @property
    def total(self) -> Comparison:
        return next(one for one in self.found if one.stage == "total")

    @property
    def differences(self) -> list[str]:
        return [f"{one.stage} {one.verdict}" for one in self.found if one.verdict != "same"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20, help="of each kind; default: %(default)s")
    count = parser.parse_args().trials
    rows = calibrated()
    loads, start = [os.getloadavg()[0]], time.monotonic()
    trials: dict[str, list[Trial]] = {"against itself": [], "slowed": []}
    for number in range(count):
        for kind, done in trials.items():
            done.append(trial(number, rows if kind == "slowed" else None))
            loads.append(os.getloadavg()[0])
            print(f"{kind} {number + 1}: {row(done[-1])}", file=sys.stderr, flush=True)
    print(page(trials, loads, time.monotonic() - start))


def calibrated() -> int:
    """Return how many rows of a convolution take a tenth of the demo's time, from image to map."""
    with loading.load("demo", "onnxruntime") as loaded:
        image = np.zeros((loaded.manifest.input.height, loaded.manifest.input.width, 3), np.uint8)
        sample = convolution(_WIDTH)
        taken = [(milliseconds(lambda: loaded(image)), milliseconds(sample)) for _ in range(_CALIBRATION_RUNS)]
    whole, added = (statistics.typical(values) for values in zip(*taken, strict=True))
    return max(1, round(SLOWDOWN * whole / added * _WIDTH))


def convolution(rows: int) -> Callable[[], object]:
    probe = probes.convolution(_CHANNELS, rows, _WIDTH)
    session = open_session(probes.model(probe, "fp32"), Settings())
    inputs = {probes.INPUT: probe.example("fp32")}
    return lambda: session.run(None, inputs)


def milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


def trial(seed: int, rows: int | None) -> Trial:
    """Return the demo against itself, slowed if ``rows`` are given."""
    options, loaded = Options(seed=seed), Loader(rows)
    with pictures.provide_images(None, seed, print) as made:
        first = Subject("first", "demo", partial(loading.load, "demo", "onnxruntime"), made.files_for)
        second = Subject("second", "demo", loaded, made.files_for)
        with closing(first), closing(second):
            taken = rounds.measure([first, second], options, lambda _: None)
            found = list(comparisons([first, second], taken, options))
            return Trial(len(taken.reference_work), loaded.added(taken.stages[1]["total"]), found)


class Loader:
    """Loads the demo, slowed if ``rows`` are given."""

    def __init__(self, rows: int | None) -> None:
        self._rows = rows
        self._loaded: list[Slowed] = []

    def __call__(self) -> Segmenter:
        if self._rows is None:
            return loading.load("demo", "onnxruntime")
        found = artifact.read("demo")
        self._loaded.append(Slowed(found, self._rows))
        return Segmenter(self._loaded[-1], found.manifest.thresholds)

    def added(self, totals: Sequence[float]) -> float:
        """Return the typical time of the convolutions, as a share of what is left of the typical total without it."""
        if not self._loaded:
            return 0.0
        extra = statistics.typical([value for one in self._loaded for value in one.extra])
        return extra / (statistics.typical(totals) - extra)


def row(done: Trial) -> str:
    ratio = done.total.ratio
    return (
        f"| {done.rounds} | {1 + done.added:.3f} | {ratio.estimate:.3f} | {ratio.low:.3f} to {ratio.high:.3f} | "
        f"{done.total.verdict} | {', '.join(done.differences) or 'none'} |"
    )


def page(trials: dict[str, list[Trial]], loads: Sequence[float], seconds: float) -> str:
    here = machine.describe()
    versions = ", ".join(f"{name} {here.versions[name]}" for name in ("onnxruntime", "numpy") if name in here.versions)
    limits = Options().noise
    same, slow = trials["against itself"], trials["slowed"]
    calm = sum(not done.differences for done in same)
    seen = sum(done.total.verdict == "slower" for done in slow)
    lines = [
        f"# Noise trials, {date.today():%-d %B %Y}",
        "",
        f"`python scripts/bench/noise_trials.py --trials {len(same)}`: {here.cpu}, {here.usable_cores} usable cores, "
        f"Python {platform.python_version()}, {versions}; {seconds / 60:.0f} minutes, during which {min(loads):.1f} to "
        f"{max(loads):.1f} processes ran or waited (load average over one minute). A difference counts if the interval "
        f"at {limits.confidence:.1%} leaves out 1 and it exceeds {limits.floor:.0%}.",
        "",
        f"- **pem-nano against itself**: no stage reported different in {calm} of {len(same)} trials.",
        f"- **pem-nano slowed**: total reported slower in {seen} of {len(slow)} trials.",
    ]
    for kind, done in trials.items():
        lines += [
            "",
            f"## {kind.capitalize()}",
            "",
            "| rounds | true ratio | ratio | interval | total | stages that differ |",
        ]
        lines += ["| --- | --- | --- | --- | --- | --- |", *map(row, done)]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
