#!/usr/bin/env python
"""Check limits and what binds with graphs whose limits are known, in every backend; artifacts given come below them.

Writes Markdown to standard output.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[3]))
from pem_edge.runtime.backends import available
from pem_edge.runtime.benchmark import machine, statistics
from pem_edge.runtime.benchmark.measures.limits.roofline import LEAST_FRACTION
from pem_edge.runtime.benchmark.options import Options
from pem_edge.runtime.benchmark.report import wording
from pem_edge.runtime.benchmark.report.wording import UNKNOWN
from pem_edge.runtime.benchmark.run import run
from pem_edge.runtime.benchmark.schema import ArtifactReport, Layer, Rate
from pem_edge.runtime.machine import cpu, usable_cpus
from reference import limit_graphs
from scripts.reports.markdown import table

BACKENDS = ("onnxruntime", "openvino")
COLUMNS = ["artifact", "backend", "inference, ms", "limit, ms", "fraction", "MACs counted", "GMAC/s, conv., matrix"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifacts", nargs="*", help="artifacts to report of, such as demo")
    given = parser.parse_args().artifacts
    with TemporaryDirectory() as folder:
        known = [str(limit_graphs.write(Path(folder), bound)) for bound in limit_graphs.GRAPHS]
        found = [
            measure(model, backend) for backend in BACKENDS if backend in available() for model in (*known, *given)
        ]
    print(page(found))


def measure(model: str, backend: str) -> ArtifactReport:
    """Measure inference and profile alone."""
    options = Options(
        rounds=20, most_rounds=20, scenarios=(), cold_starts=0, memory=False, backend=backend, scenario_seconds=0.5
    )
    (found,) = run([model], options, lambda text: print(text, file=sys.stderr)).artifacts
    return found


def page(found: list[ArtifactReport]) -> str:
    bounds = ["compute", "memory", "overhead", "unknown"]
    return "\n\n".join(
        [
            f"# Limits, {date.today():%-d %B %Y}",
            f"`scripts/bench/networks/limits.py`; {packages(found)}; {cpu.name()}, {usable_cpus()} threads. The first "
            "three of each backend are graphs whose limit is known by how they are made, named after what bounds them. "
            f"Overhead: less than {LEAST_FRACTION:.0%} of the limit is reached.",
            table(COLUMNS, map(row, found)),
            "What bounds the nodes, by their time, and the highest fraction among the ten costliest:",
            table(["artifact", "backend", *bounds, "highest"], (shares(each, bounds) for each in found)),
            "The ten costliest nodes:",
            table(["artifact", "backend", "node", "type", "ms", "limit, ms", "fraction", "bound"], costliest(found)),
            *(f"{each.variant} in {each.backend}: {doubt}." for each in found for doubt in doubts(each)),
        ]
    )


def packages(found: list[ArtifactReport]) -> str:
    """Return the versions of NumPy and of the backends that were measured, some of which have several packages."""
    names = {"numpy", *(each.backend for each in found)}
    versions = machine.describe().versions
    return ", ".join(f"{name} {version}" for name, version in versions.items() if name.removesuffix("-gpu") in names)


def row(found: ArtifactReport) -> list[str]:
    rate = found.rate or Rate(macs=0, reached=0)
    return [
        Path(found.model).stem,
        found.backend,
        wording.milliseconds(statistics.typical(found.stages["inference"].values)),
        UNKNOWN if rate.limit is None else wording.milliseconds(rate.limit),
        fraction(rate.fraction),
        UNKNOWN if rate.counted is None else f"{rate.counted:.1%}",
        f"{wording.giga(rate.convolution)}, {wording.giga(rate.matrix)}",
    ]


def shares(found: ArtifactReport, bounds: list[str]) -> list[str]:
    profile = found.profile
    if profile is None or not profile.by_bound:
        return [Path(found.model).stem, found.backend, *[UNKNOWN] * (len(bounds) + 1)]
    parts = (f"{profile.by_bound.get(bound, 0.0) / profile.total:.0%}" for bound in bounds)
    highest = max((layer.fraction for layer in profile.layers if layer.fraction is not None), default=None)
    return [Path(found.model).stem, found.backend, *parts, fraction(highest)]


def costliest(found: list[ArtifactReport]) -> Iterator[list[str]]:
    for each in found:
        for layer in each.profile.layers if each.profile else ():
            yield [Path(each.model).stem, each.backend, f"`{layer.name}`", layer.type, *figures(layer)]


def figures(layer: Layer) -> list[str]:
    return [
        f"{layer.milliseconds:.3f}",
        UNKNOWN if layer.limit is None else f"{layer.limit:.3f}",
        fraction(layer.fraction),
        layer.bound or UNKNOWN,
    ]


def fraction(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}"


def doubts(found: ArtifactReport) -> set[str]:
    layers = found.profile.layers if found.profile else ()
    return {doubt for doubt in (found.rate and found.rate.doubt, *(layer.doubt for layer in layers)) if doubt}


if __name__ == "__main__":
    main()
