#!/usr/bin/env python
"""Latency of the families side by side: PEM, Mask2Former and PRO-SCALE with ResNet-50, in one run of pem-bench.

Each is exported with random weights, at 512x1024 unless told otherwise, and takes its turn in every round. Writes
docs/results/DATE-families.md with a chart, and the whole report as JSON and HTML where --report says.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
from pem_edge import pem
from pem_edge.export.cli import export as export_cli
from pem_edge.pem import checkpoints
from pem_edge.runtime.benchmark import schema
from pem_edge.runtime.cli import bench, shared_options

RESULTS = Path(__file__).parents[2] / "docs" / "results"
MODELS = {
    "pem-r50": ("pem-r50", None),
    "proscale-r50-111": ("proscale-r50", (1, 1, 1)),
    "proscale-r50-333": ("proscale-r50", (3, 3, 3)),
    "mask2former-r50": ("mask2former-r50", None),
}
CLASSES = 19


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory(prefix="pem-families-") as temporary:
        folder = options.artifacts or Path(temporary)
        models = list(artifacts(folder, options.size))
        report = folder / "report.json"
        arguments = [*models, "--backend", options.backend, "--scenarios", "none", "--no-cold-start", "--overwrite"]
        pages = [part for path in (report, *options.report) for part in ("-o", str(path))]
        if bench.main([*arguments, "--rounds", str(options.rounds), *pages]):
            sys.exit(1)
        command = f"--size {options.size} --backend {options.backend}"
        write(options.date, command, schema.parse(report.read_bytes(), str(report)))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="512x1024", help="default: %(default)s")
    parser.add_argument("--backend", default="onnxruntime", help="default: %(default)s")
    parser.add_argument("--rounds", type=shared_options.positive, default=15, help="default: %(default)s")
    parser.add_argument("--artifacts", metavar="DIR", type=Path, help="keep the artifacts there, and use those found")
    parser.add_argument("--report", metavar="FILE", type=Path, action="append", default=[], help=".html, .md or .json")
    parser.add_argument("--date", default=date.today().isoformat(), help="for the page's name; default: today")
    return parser.parse_args()


def artifacts(folder: Path, size: str) -> Iterator[str]:
    """Export what is not there yet; the paths of the artifacts."""
    for name, (variant, layers) in MODELS.items():
        path = folder / f"{name}.onnx"
        if not path.exists():
            torch.manual_seed(0)
            weights = folder / f"{name}.safetensors"
            checkpoints.save(pem.build(variant, CLASSES, encoder_layers=layers).eval(), weights)
            if export_cli.main(["--weights", str(weights), "--to", "onnx", "--size", size, "-o", str(path)]):
                sys.exit(1)
        yield str(path)


def write(day: str, command: str, report: schema.Report) -> None:
    name = f"{day}-families"
    RESULTS.mkdir(parents=True, exist_ok=True)
    draw(report, RESULTS / f"{name}.png")
    (RESULTS / f"{name}.md").write_text(page(day, command, report, f"{name}.png"))


def draw(report: schema.Report, path: Path) -> None:
    import matplotlib.pyplot as plt

    names = [Path(artifact.model).stem for artifact in report.artifacts][::-1]
    times = [artifact.stages["total"] for artifact in report.artifacts][::-1]
    figure, axes = plt.subplots(figsize=(8, 2.8), layout="constrained")
    bars = axes.barh(names, [time.p50 for time in times], color="#1f77b4")
    axes.bar_label(bars, [f"{time.p50:.0f}" for time in times], padding=4)
    axes.set_xlabel("median ms an image, picture to panoptic map")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def page(day: str, command: str, report: schema.Report, chart: str) -> str:
    ratios = {each.model: each for each in report.comparisons if each.stage == "total"}
    rows = []
    for artifact in report.artifacts:
        total, inference = artifact.stages["total"], artifact.stages["inference"]
        macs = f"{artifact.rate.macs / 1e9:.1f}" if artifact.rate else "unknown"
        ratio = ratios.get(artifact.name)
        times = (
            "1" if ratio is None else f"{ratio.ratio.estimate:.2f} ({ratio.ratio.low:.2f} to {ratio.ratio.high:.2f})"
        )
        columns = [
            Path(artifact.model).stem,
            macs,
            *(f"{ms:.0f}" for ms in (inference.p50, total.p50, total.p90)),
            times,
        ]
        rows.append(f"| {' | '.join(columns)} |")
    machine = report.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    return f"""# Families side by side, {day}

`python scripts/bench/families.py {command}`: random weights,
{report.rounds} rounds in which all take turns. {machine.cpu}, {machine.usable_cores} of {machine.cores} cores;
{versions}.

![Latency]({chart})

| model | GMAC | inference, ms (p50) | total, ms (p50) | total, ms (p90) | times pem-r50 (99.5 % interval) |
| --- | --- | --- | --- | --- | --- |
{chr(10).join(rows)}

PRO-SCALE's numbers are its encoder's layers at each stage. With random weights hardly any query is kept, so the totals
hold next to no merging: figures of that are in [the merge's page](2026-11-21-merge.md).
"""


if __name__ == "__main__":
    main()
