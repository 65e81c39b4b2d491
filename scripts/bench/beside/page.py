"""The page of what was measured, in Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

import numpy as np

from pem_edge.runtime.benchmark.options import NoiseLimits
from pem_edge.runtime.benchmark.statistics import ratio_in_rounds
from pem_edge.runtime.machine import cpu, usable_cpus
from scripts.bench.beside.answers import Distance
from scripts.bench.beside.cases import BEFORE, GROWTH, OURS, SWIN, THEIRS, Case
from scripts.bench.beside.ours import MAP
from scripts.bench.networks.turns import Measured
from scripts.reports.markdown import table

NAMES = [THEIRS, *(f"{title}{ending}" for title in OURS for ending in ("", BEFORE))]
"""Contestants in the order of the tables."""

TITLES = ["", "ms", "times as fast", "as before", "memory, MB", "class logits", "mask logits", "pixels", "not void"]
PACKAGES = ("torch", "torchvision", "transformers", "onnxruntime", "openvino", "numpy")
_X86 = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
INSTRUCTIONS = (*_X86, "asimd", "asimddp", "i8mm", "sve")
"""The features of x86 and ARM on which the speed of these networks depends, as Linux names them."""


class Outcome(NamedTuple):
    """The measurements of a case.

    Attributes:
        measured: What each contestant's runs took.
        distances: How far our answers are from the published one, by contestant.
        merged: The number of masks that take part in the published merge.
        segments: The number of segments that come of them.
    """

    measured: Mapping[str, Measured]
    distances: Mapping[str, Distance]
    merged: int
    segments: int

    def median(self, name: str) -> str:
        """Return the median in milliseconds; nothing if it is not measured."""
        return f"{1e3 * np.median(self.measured[name].seconds[MAP]):.0f}" if name in self.measured else ""

    def times_as_fast(self, name: str, as_other: str = THEIRS) -> str:
        """Return the ratio of the other's time to this one's, with its interval; nothing if one is not measured."""
        if name == as_other or not {name, as_other} <= self.measured.keys():
            return ""
        other, own = (self.measured[each].seconds[MAP] for each in (as_other, name))
        ratio = ratio_in_rounds(other, own, NoiseLimits())
        return f"{ratio.estimate:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


class Conditions(NamedTuple):
    """The conditions of a run.

    Attributes:
        rounds: The number of rounds.
        operators: What computes the published deformable convolutions; None for plain PyTorch.
        ours: The titles of our contestants that were asked for.
        commits: The commit that was measured, and the one before, if there is one.
    """

    rounds: int
    operators: str | None
    ours: Sequence[str]
    commits: Sequence[str]


def text(outcomes: Mapping[Case, Outcome], conditions: Conditions, *, growth: bool) -> str:
    sections = [
        f"# Beside the published formulation, {date.today():%-d %B %Y}",
        method(conditions),
        machine(),
        versions(conditions),
    ]
    for case, outcome in outcomes.items():
        sections += section(case, outcome)
    if growth:
        sections += ["## Growth with the size", growth_table(outcomes)]
    return "\n\n".join(sections) + "\n"


def method(conditions: Conditions) -> str:
    sampling = "torchvision's operator" if conditions.operators else "plain PyTorch"
    return (
        "`scripts/bench/published.py`: from an array to its panoptic map, the published formulation with its own "
        f"postprocessing beside the artifacts of `pem-export`. Medians of {conditions.rounds} rounds in which all take "
        "turns in an order drawn anew, each in a process of its own. How many times as fast as PyTorch, and as before, "
        f"is the mean of the ratios within rounds, with its interval at {NoiseLimits().confidence:.1%}. Memory is the "
        "peak of each process; that of PyTorch imports more than an artifact needs. Detectron2 has no kernel of the "
        f"deformable convolution for CPUs: {sampling} computes it here. Deformable attention is the published fallback "
        "in PyTorch. Weights are by formula, such that masks differ and some queries are certain of a class."
    )


def machine() -> str:
    features = cpu.features()
    known = [each for each in INSTRUCTIONS if each in features]
    packages = ", ".join(f"{name} {found}" for name in PACKAGES if (found := _version(name)))
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    return (
        f"{cpu.name()} ({', '.join(known) or 'instructions unknown'}), {usable_cpus()} usable CPUs, of which PyTorch "
        f"uses {threads}; Python {platform.python_version()}, {packages}."
    )


def versions(conditions: Conditions) -> str:
    return (
        f"pem-edge {', before: '.join(conditions.commits)}. Asked for: {'; '.join(conditions.ours)}. What of that is "
        "missing below could not run here, or `pem-export` refused to write it."
    )


def section(case: Case, outcome: Outcome) -> Iterator[str]:
    peer = "transformers" if case == SWIN else "the published formulation"
    yield f"## {case.variant} at {case.size}, {case.classes} classes"
    yield (
        f"PyTorch runs {peer}. Masks that take part in the published merge: {outcome.merged}; segments that they "
        f"become: {outcome.segments}. The last columns are the largest differences from its class and mask logits, and "
        "the share of pixels that both give to the same segment, of all, and of those that are not void in both. INT8 "
        "is calibrated on this picture alone."
    )
    yield table(TITLES, (line(outcome, name) for name in NAMES if name in outcome.measured))


def line(outcome: Outcome, name: str) -> list[str]:
    peak, apart = outcome.measured[name].peak, outcome.distances.get(name)
    return [
        name,
        outcome.median(name),
        outcome.times_as_fast(name),
        outcome.times_as_fast(name, f"{name}{BEFORE}"),
        "unknown" if peak is None else f"{peak / 1e6:.0f}",
        *([""] * 4 if apart is None else differences(apart)),
    ]


def differences(apart: Distance) -> list[str]:
    logits, masks, *shares = apart
    return [f"{logits:.1e}", f"{masks:.1e}", *(f"{share:.3%}" for share in shares)]


def growth_table(outcomes: Mapping[Case, Outcome]) -> str:
    titles = ["size", f"{THEIRS}, ms", *(f"{name}, {unit}" for name in OURS for unit in ("ms", "times as fast"))]
    rows = []
    for case in GROWTH:
        outcome = outcomes[case]
        ours = [each for name in OURS for each in (outcome.median(name), outcome.times_as_fast(name))]
        rows.append([case.size, outcome.median(THEIRS), *ours])
    return table(titles, rows)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
