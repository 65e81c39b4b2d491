#!/usr/bin/env python
"""Measure the published formulations in PyTorch beside our artifacts in one run: from an array to its panoptic map.

Detectron2, on which the published code builds, has no kernel of the deformable convolution for CPUs; without
--operators the published formulation samples in plain PyTorch. Each contestant has a process of its own, because
OpenVINO pins the calling thread. Weights are by formula, such that masks differ and some queries are certain of a
class: there is something to merge.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[2]))
# Processes of contestants import this file, too, and not all of them the pem_edge of this checkout.
from scripts.bench.beside import ours
from scripts.bench.beside.answers import Answer, distance
from scripts.bench.beside.cases import BEFORE, OURS, ROWS, SWIN, THEIRS, Case, Contestant, Files, commit, files_in
from scripts.bench.networks.turns import Prepare, measure

if TYPE_CHECKING:
    from scripts.bench.beside.page import Outcome

ROOT = Path(__file__).parents[2]

Versions = dict[str, tuple[Path, Files]]
"""Checkouts and the files of a case, by the end of the titles of their contestants."""


def main() -> None:
    from scripts.bench.beside import page

    options = parse()
    cases = dict.fromkeys(case for row in options.rows for case in ROWS[row])
    with TemporaryDirectory(prefix="pem-published-") as temporary:
        folder = (options.artifacts or Path(temporary)).resolve()
        versions = {case: make(case, folder, options.before) for case in cases}
        outcomes = {
            case: compare(case, versions[case], options.ours, options.rounds, options.operators) for case in cases
        }
    commits = [commit(each) for each in (ROOT, options.before) if each is not None]
    conditions = page.Conditions(options.rounds, options.operators, options.ours, commits)
    options.output.write_text(page.text(outcomes, conditions, growth="growth" in options.rows))


def parse() -> argparse.Namespace:
    from pem_edge.runtime.cli import shared_options

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS), help="default: all")
    parser.add_argument("--rounds", type=shared_options.whole(2), default=15, help="default: %(default)s")
    parser.add_argument(
        "--operators",
        metavar="LIBRARY",
        help="let torchvision's operator compute the published deformable convolutions: torchvision, the package, or a "
        "shared library that registers torch.ops.torchvision.deform_conv2d",
    )
    parser.add_argument("--ours", nargs="+", choices=list(OURS), default=list(OURS), help="which of ours; default: all")
    parser.add_argument(
        "--before", metavar="CHECKOUT", type=checkout, help="export and run with this older checkout of pem-edge, too"
    )
    parser.add_argument("--artifacts", metavar="DIR", type=Path, help="keep the artifacts there, and use those found")
    parser.add_argument("-o", "--output", metavar="FILE", type=writable, required=True, help="the page, in Markdown")
    return parser.parse_args()


def checkout(text: str) -> Path:
    """Return the folder of a checkout of pem-edge."""
    if not (Path(text) / "pem_edge" / "__init__.py").is_file():
        raise argparse.ArgumentTypeError(f"{text} is not a checkout of pem-edge: it has no pem_edge/__init__.py")
    return Path(text).resolve()


def writable(text: str) -> Path:
    """Return the path of a file that can be written, which is found out now rather than after all is measured."""
    try:
        Path(text).touch()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write {text}: {error.strerror}") from None
    return Path(text)


def make(case: Case, folder: Path, before: Path | None) -> Versions:
    """Write what is not there yet of the files of a case; artifacts of each commit have a folder of their own."""
    from scripts.bench.beside import artifacts

    versions: Versions = {}
    for ending, source in (("", ROOT), (BEFORE, before)):
        if source is not None:
            own = files_in(folder / commit(source), case)
            files = files_in(folder, case)._replace(single=own.single, int8=own.int8)
            artifacts.write(case, files, source)
            versions[ending] = source, files
    return versions


def compare(case: Case, versions: Versions, titles: Sequence[str], rounds: int, operators: str | None) -> Outcome:
    from scripts.bench.beside import page

    print(f"measuring {case.variant} at {case.size}", file=sys.stderr)
    with TemporaryDirectory() as folder:
        contestants = {THEIRS: theirs(case, versions[""][1], operators, Path(folder) / f"{THEIRS}.npz")}
        for ending, (checkout, files) in versions.items():
            for title, contestant in candidates(titles, ending).items():
                name = f"{title}{ending}"
                if files.artifact(contestant).exists():
                    paths = checkout, files.artifact(contestant), files.picture, Path(folder) / f"{name}.npz"
                    contestants[name] = partial(ours.prepare, contestant, *paths)
        measured = measure(contestants, rounds)
        found = {title: Answer.read(Path(folder) / f"{title}.npz") for title in contestants}
    published = found.pop(THEIRS)
    distances = {title: distance(answer, published) for title, answer in found.items()}
    return page.Outcome(measured, distances, published.merged(), int(published.map.max()))


def candidates(titles: Sequence[str], ending: str) -> dict[str, Contestant]:
    """Return those of our contestants with these titles that can run here, in the version whose titles end so."""
    from pem_edge.runtime.backends import available
    from pem_edge.runtime.machine import cpu

    with_bf16 = not ending and cpu.BF16 & cpu.features()
    chosen = {title: OURS[title] for title in titles if OURS[title].backend in available()}
    return {title: contestant for title, contestant in chosen.items() if with_bf16 or not contestant.bf16}


def theirs(case: Case, files: Files, operators: str | None, answer: Path) -> Prepare:
    from scripts.bench.beside.theirs import prepare_published, prepare_transformers

    if case == SWIN:
        return partial(prepare_transformers, files, answer)
    return partial(prepare_published, files, operators, answer)


if __name__ == "__main__":
    main()
