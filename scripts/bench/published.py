#!/usr/bin/env python
"""Measure the published formulations in PyTorch beside our artifacts in one run: from an array to its panoptic map.

Detectron2, on which the published code builds, has no kernel of the deformable convolution for CPUs; without
--operators the published formulation samples in plain PyTorch. Each contestant has a process of its own, because
OpenVINO pins the calling thread. Weights are by formula, such that masks differ and some queries are certain of a
class: there is something to merge.

The pem_edge that is measured is that of the folder that PYTHONPATH names, such as an older checkout, or else of this
one.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, os.environ.get("PYTHONPATH", "").partition(os.pathsep)[0] or str(Path(__file__).parents[2]))
import pem_edge  # noqa: F401  the one to measure, whichever checkout comes first below

sys.path.insert(0, str(Path(__file__).parents[2]))
from pem_edge.runtime.cli import shared_options
from scripts.bench.beside import ours, page
from scripts.bench.beside.answers import Answer, distance
from scripts.bench.beside.cases import ROWS, SWIN, Case, Files, files_in
from scripts.bench.networks.turns import Prepare, measure


def main() -> None:
    options = parse()
    cases = dict.fromkeys(case for row in options.rows for case in ROWS[row])
    with TemporaryDirectory(prefix="pem-published-") as temporary:
        folder = options.artifacts or Path(temporary)
        files = {case: make(case, folder) for case in cases}
        outcomes = {case: compare(case, files[case], options.rounds, options.operators) for case in cases}
    options.output.write_text(page.text(outcomes, options.rounds, "growth" in options.rows, options.operators))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS), help="default: all")
    parser.add_argument("--rounds", type=shared_options.positive, default=15, help="at least 2; default: %(default)s")
    parser.add_argument(
        "--operators",
        metavar="LIBRARY",
        help="let torchvision's operator compute the published deformable convolutions: torchvision, the package, or a "
        "shared library that registers torch.ops.torchvision.deform_conv2d",
    )
    parser.add_argument("--artifacts", metavar="DIR", type=Path, help="keep the artifacts there, and use those found")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True, help="the page, in Markdown")
    return parser.parse_args()


def make(case: Case, folder: Path) -> Files:
    from scripts.bench.beside import artifacts  # with PyTorch, which the processes of artifacts are not to import

    files = files_in(folder, case)
    artifacts.write(case, files)
    return files


def compare(case: Case, files: Files, rounds: int, operators: str | None) -> page.Outcome:
    print(f"measuring {case.variant} at {case.size}", file=sys.stderr)
    with TemporaryDirectory() as name:
        answers = {title: Path(name) / f"{index}.npz" for index, title in enumerate((page.THEIRS, *page.OURS))}
        contestants = {page.THEIRS: theirs(case, files, operators, answers[page.THEIRS])}
        for title, (precision, backend) in page.OURS.items():
            artifact = files.int8 if precision == "int8" else files.single
            if artifact.exists():
                contestants[title] = partial(ours.prepare, artifact, backend, files.picture, answers[title])
        measured = measure(contestants, rounds)
        found = {title: Answer.read(answers[title]) for title in contestants}
    published = found.pop(page.THEIRS)
    distances = {title: distance(answer, published) for title, answer in found.items()}
    return page.Outcome(measured, distances, published.merged(), int(published.map.max()))


def theirs(case: Case, files: Files, operators: str | None, answer: Path) -> Prepare:
    from scripts.bench.beside.theirs import prepare_published, prepare_transformers

    if case == SWIN:
        return partial(prepare_transformers, files, answer)
    return partial(prepare_published, files, operators, answer)


if __name__ == "__main__":
    main()
