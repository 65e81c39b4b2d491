"""Feeds mutated and crafted files to every reader of foreign bytes, and counts what they do."""

from __future__ import annotations

import argparse
import hashlib
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cv2
import torch

from pem_edge.runtime.errors import PemError
from scripts.campaign.delivery import deliver
from scripts.campaign.mutations import mutate
from scripts.campaign.readers import Reader, table
from scripts.campaign.worker import Outcome, Worker

FAULTS = Path("out/fuzz")
_PACKAGES = ("numpy", "torch", "pillow", "opencv-python-headless", "msgspec", "safetensors")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign; return 1 if there was a fault."""
    options = _parse(arguments)
    started = time.monotonic()
    end = started + 60 * options.minutes
    report = run(options.seed, options.inputs, end, options.reader)
    report["seconds"] = round(time.monotonic() - started, 1)
    deliver(report, options.out)
    return int(bool(report["faults"]))


def run(seed: int, inputs: int | None, end: float, only: str | None = None) -> dict[str, object]:
    """Return the counts of a campaign.

    Args:
        seed: The seed of the mutations.
        inputs: How many inputs to try at most; None for no limit.
        end: When to stop, by `time.monotonic`.
        only: The name of the only reader to try; None for all.
    """
    cv2.setNumThreads(0)  # threads do not survive the fork
    torch.set_num_threads(1)
    rng = random.Random(seed)
    counts: dict[str, Counter[str]] = {}
    faults: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory(prefix="pem-fuzz-") as folder, ExitStack() as stack:
        readers = [reader for reader in table(Path(folder) / "seeds") if only in (None, reader.name)]
        workers = {}
        for number, reader in enumerate(readers):
            place = Path(folder) / str(number)
            place.mkdir()
            _import_all(reader, place)
            workers[reader.name] = stack.enter_context(Worker(reader.read, place / f"input{reader.suffix}"))
        for done, (reader, content) in enumerate(_inputs(readers, rng)):
            if done == inputs or time.monotonic() > end:
                break
            outcome = workers[reader.name].try_input(content)
            counts.setdefault(reader.name, Counter())[outcome.kind] += 1
            if outcome.is_fault:
                faults.append(_keep(reader, content, outcome))
    totals = sum(counts.values(), Counter[str]())
    return {
        "date": date.today().isoformat(),
        "seed": seed,
        "inputs": totals.total(),
        "outcomes": dict(totals),
        "readers": {name: dict(found) for name, found in sorted(counts.items())},
        "faults": faults,
        "versions": {"python": platform.python_version(), **_versions()},
    }


def _import_all(reader: Reader, place: Path) -> None:
    """Let ``reader`` import what it needs, as code that runs later is suspicious."""
    for number, content in enumerate([*reader.seeds, b""]):
        path = place / f"seed{number}{reader.suffix}"
        path.write_bytes(content)
        with suppress(PemError):
            reader.read(path)


def _inputs(readers: Sequence[Reader], rng: random.Random) -> Iterator[tuple[Reader, bytes]]:
    """Yield every seed and crafted input once, then mutations without end."""
    for reader in readers:
        for content in (*reader.seeds, *reader.crafted):
            yield reader, content
    weights = [reader.weight for reader in readers]
    while True:
        (reader,) = rng.choices(readers, weights)
        yield reader, mutate([*reader.seeds, *reader.crafted] if rng.random() < 0.1 else reader.seeds, rng)


def _keep(reader: Reader, content: bytes, outcome: Outcome) -> dict[str, str]:
    """Keep an input that found a fault, and return its record."""
    FAULTS.mkdir(parents=True, exist_ok=True)
    path = FAULTS / f"{reader.name.replace(' ', '-')}-{hashlib.sha256(content).hexdigest()[:12]}{reader.suffix}"
    path.write_bytes(content)
    print(f"{reader.name}: {outcome.kind}: {outcome.text}; kept {path}", file=sys.stderr)
    return {"reader": reader.name, "kind": outcome.kind, "text": outcome.text, "input": str(path)}


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # noqa: PERF203  # few packages
            found[package] = "not installed"
    return found


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5, metavar="N", help="stop after this time; default: 5")
    parser.add_argument("--inputs", type=int, metavar="N", help="stop after this many inputs")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--reader", metavar="NAME", help="try this reader alone")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="also write the counts there, as JSON")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
