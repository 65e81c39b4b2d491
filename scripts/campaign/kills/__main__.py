"""Kills commands at random moments and before renames, and sees that nothing is mixed, half written, lost or left."""

from __future__ import annotations

import argparse
import platform
import random
import shutil
import sys
import time
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pem_edge
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.files import temporary_folder
from scripts.campaign.delivery import deliver
from scripts.campaign.kills.artifacts import Engine, Export, Int8
from scripts.campaign.kills.attack import Attacks
from scripts.campaign.kills.outputs import Bench, Run, make_clip
from scripts.campaign.kills.subject import Inputs, Subject
from scripts.campaign.kills.training import Train

SUBJECTS: tuple[type[Subject], ...] = (Export, Int8, Engine, Train, Run, Bench)
_PER_ROUND = 8
"""Number of kills between two complete runs of a command."""

_TRIES = 5
"""Number of runs for each kill, at most: some kills come too late."""


@dataclass(frozen=True)
class _Request:
    count: int
    seed: int
    names: list[str]
    output: Path | None


def main() -> int:
    """Run the campaign, and return 0 if nothing was spoiled."""
    request = _parse()
    started = time.monotonic()
    with temporary_folder() as folder:
        reports = _attack_all(request, folder)
    faults = sum(len(report["faults"]) for report in reports.values())
    whole = {
        "date": date.today().isoformat(),
        "seed": request.seed,
        "versions": {"python": platform.python_version(), "pem-edge": pem_edge.__version__, "torch": version("torch")},
        "seconds": round(time.monotonic() - started),
        "kills": sum(report["kills"] for report in reports.values()),
        "faults": faults,
        "commands": reports,
    }
    deliver(whole, request.output)
    return 1 if faults else 0


def _attack_all(request: _Request, folder: Path) -> dict[str, dict[str, Any]]:
    inputs = _make_inputs(folder)
    chosen = [each for each in SUBJECTS if each.name in request.names and (not each.needs or find_spec(each.needs))]
    total = sum(each.share for each in chosen)
    reports, left = {}, request.count
    for number, each in enumerate(chosen):
        place = folder / each.name
        place.mkdir()
        attacks = Attacks(each(place, inputs), random.Random(f"{request.seed} {each.name}"))
        count = left if number == len(chosen) - 1 else round(request.count * each.share / total)
        _attack(attacks, count)
        left -= attacks.kills.total()
        reports[each.name] = attacks.report()
    return reports


def _attack(attacks: Attacks, count: int) -> None:
    """Kill ``count`` runs of a command, with complete ones before, between and after them."""
    attacks.run_whole()
    left = _TRIES * count if attacks.events else 0
    while attacks.kills.total() < count and left > 0:
        for _ in range(min(_PER_ROUND, count - attacks.kills.total())):
            attacks.kill()
            left -= 1
        attacks.run_whole()
        print(f"kill: {attacks.subject.name}: {attacks.kills.total()} of {count}", file=sys.stderr, flush=True)
    if attacks.kills.total() < count:
        attacks.note("campaign", [f"{attacks.kills.total()} of {count} kills came in time"])


def _make_inputs(folder: Path) -> Inputs:
    inputs = Inputs(folder / "inputs" / "street.onnx", folder / "inputs" / "clip.mp4", folder / "graphs")
    inputs.graphs.mkdir()
    inputs.onnx.parent.mkdir()
    make_clip(inputs.clip)
    shutil.copyfile(artifact.read(artifact.DEMO).model, inputs.onnx)
    return inputs


def _parse() -> _Request:
    parser = argparse.ArgumentParser(prog="kill", description=__doc__)
    parser.add_argument("--count", type=int, default=200, metavar="N", help="number of kills (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default: %(default)s")
    names = [each.name for each in SUBJECTS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="commands to kill (default: all)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="also write the report there, as JSON")
    options = parser.parse_args()
    return _Request(options.count, options.seed, options.only, options.output)


if __name__ == "__main__":
    sys.exit(main())
