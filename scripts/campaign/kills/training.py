"""A training that is killed and resumed until it is complete, and then compared with one that never was."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file

from pem_edge.pem.training import snapshots
from pem_edge.runtime.errors import PemError
from scripts.campaign.kills.subject import Inputs, Subject

STEPS = 5
WEIGHTS, METRICS = "pem-nano.safetensors", "metrics.csv"


class Train(Subject):
    """A run of a few steps with a checkpoint after each; its first complete run, which is not killed, is the model."""

    name, command, share = "train", "pem-train", 0.22

    def __init__(self, folder: Path, inputs: Inputs) -> None:
        super().__init__(folder, inputs)
        self._whole = folder / "whole"
        self._step = 0

    def arguments(self) -> list[str]:
        few = ["--size", "64x64", "--batch", "2", "--steps", str(STEPS), "--workers", "0", "--points", "64"]
        often = ["--checkpoint-minutes", "0", "--log-every", "2", "--picture-every", "2"]
        start = "--resume" if self._checkpoint.exists() else "--overwrite"
        dataset = ["--dataset", "toy:6:64x64:1", "--device", "cpu"]
        return ["--variant", "pem-nano", "--no-export", *dataset, *few, *often, start, "-o", str(self.out)]

    def expected(self) -> set[str]:
        pictures = {f"pictures/step-{step:06d}.png" for step in (*range(2, STEPS, 2), STEPS)}
        return {snapshots.FILE_NAME, METRICS, WEIGHTS, *pictures}

    def damages(self) -> Iterator[str]:
        if not self._checkpoint.exists():
            return
        try:
            step: int = snapshots.load(self._checkpoint)["step"]
        except PemError as error:
            yield f"half: {error}"
            return
        if step < self._step:
            yield f"lost: the checkpoint of step {self._step}, there is that of step {step}"
        self._step = step

    def faults_at_end(self) -> list[str]:
        """Compare the run with the one that was never killed, and make way for another one."""
        found = super().faults_at_end()
        if not self._whole.exists():
            shutil.copytree(self.out, self._whole)
        elif not found:
            found = list(self._differences())
        shutil.rmtree(self.out)
        self._step, self._there = 0, set()
        return found

    def _differences(self) -> Iterator[str]:
        expected = load_file(self._whole / WEIGHTS)
        weights = load_file(self.out / WEIGHTS)
        if weights.keys() != expected.keys() or not all(
            torch.equal(tensor, expected[name]) for name, tensor in weights.items()
        ):
            yield "other weights than without kills"
        if _metrics(self.out) != _metrics(self._whole):
            yield "other metrics than without kills"

    @property
    def _checkpoint(self) -> Path:
        return self.out / snapshots.FILE_NAME


def _metrics(folder: Path) -> list[list[str]]:
    """Return the rows but for the column that tells the time."""
    with (folder / METRICS).open(newline="") as file:
        return [row[:-1] for row in csv.reader(file)]
