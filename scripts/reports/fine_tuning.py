#!/usr/bin/env python
"""Fine-tune the demo weights to classes that they do not know, beside a longer training from scratch.

The images are toy streets in other colors, of which groups of classes have new names. Both trainings learn from the
same images, and both are scored on others that neither has seen.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.dataset import Sample
from pem_edge.runtime.datasets.toy_streets import LABELS, ToyStreets
from scripts.make_toy_streets import DOCUMENT, write

GROUPS = {
    "pavement": ("road", "sidewalk"),
    "structure": ("building", "fence", "pole"),
    "open country": ("vegetation", "terrain", "sky"),
    "passer-by": ("person", "rider"),
    "machine": ("car", "truck", "bus"),
}
"""The classes of toy streets that become one. What is in none of these is void."""

_THINGS = ("passer-by", "machine")
_CHANNELS = (1, 2, 0)
"""Which channel of a street becomes which of the new images."""

_COMMON = ("--variant", "pem-nano", "--size", "256x512")


@dataclass(frozen=True)
class Regrouped:
    """Toy streets with other colors and classes."""

    streets: ToyStreets

    @property
    def labels(self) -> tuple[Label, ...]:
        """The five classes."""
        return tuple(Label(index, name, name in _THINGS, (40 * index, 99, 250)) for index, name in enumerate(GROUPS))

    def __len__(self) -> int:
        return len(self.streets)

    def __getitem__(self, index: int) -> Sample:
        sample = self.streets[index]
        groups = {old: new for new, names in enumerate(GROUPS.values()) for old in names}
        kept = [each for each in sample.segments if LABELS[each.category_id].name in groups]
        segments = [replace(each, category_id=groups[LABELS[each.category_id].name]) for each in kept]
        ids = np.where(np.isin(sample.panoptic, [each.id for each in kept]), sample.panoptic, 0)
        return replace(sample, image=sample.image[..., _CHANNELS], panoptic=ids.astype(np.int32), segments=segments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=Path("out/fine-tuning"))
    parser.add_argument("--images", type=int, default=200, help="to learn from")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the fine-tuning")
    parser.add_argument("--scratch-minutes", type=float, default=60.0, help="of the training from scratch")
    parser.add_argument("--only", choices=["fine-tuning", "from scratch"])
    options = parser.parse_args()
    folders = {part: options.out / part for part in ("train", "val", "test")}
    for seed, (part, folder) in enumerate(folders.items(), 11):
        if not (folder / DOCUMENT).exists():
            streets = ToyStreets(options.images if part == "train" else 50, 256, 512, seed)
            write(Regrouped(streets), folder, "png", multiprocessing.cpu_count())
    runs = {
        "fine-tuning": ("--weights", "demo", "--minutes", f"{options.minutes:g}"),
        "from scratch": ("--minutes", f"{options.scratch_minutes:g}", "--batch", "8", "--clip", "1", "--warmup", "100"),
    }
    for name, own in runs.items():
        if options.only in (None, name):
            print(json.dumps({name: _train_and_score(options.out / name.replace(" ", "-"), folders, own)}), flush=True)


def _train_and_score(run: Path, folders: Mapping[str, Path], own: Sequence[str]) -> dict[str, object]:
    start = time.monotonic()
    where = ("--dataset", str(folders["train"]), "--val", str(folders["val"]), "-o", str(run), "--overwrite", "--json")
    _call("pem.cli.train", *_COMMON, *own, *where)
    minutes = (time.monotonic() - start) / 60
    scores = json.loads(
        _call("runtime.cli.eval", str(run / "pem-nano.onnx"), "--dataset", str(folders["test"]), "--json")
    )
    return {"minutes": round(minutes, 1), "pq": scores["pq"], "miou": scores["miou"]}


def _call(command: str, *arguments: str) -> str:
    called = [sys.executable, "-m", f"pem_edge.{command}", *arguments]
    return subprocess.run(called, stdout=subprocess.PIPE, text=True, check=True, env=os.environ).stdout


if __name__ == "__main__":
    main()
