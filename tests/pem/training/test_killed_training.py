"""A run that is killed again and again, and resumed, becomes the run that was never killed, to the bit."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import torch

from pem_edge.pem.training import snapshots
from pem_edge.pem.training.snapshots import Snapshot

TRAINING = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
import torch
from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.settings import TrainingSettings
from pem_edge.pem.training.trainer import Trainer
from tests.helpers.boxes import LABELS, Boxes
from tests.helpers.tiny import TINY

folder, renames, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
settings = TrainingSettings(
    steps=8, batch=4, size=(64, 64), learning_rate=3e-3, backbone_factor=1.0, clip=1.0, workers=0, log_every=3, seed=5,
    checkpoint_minutes=0.0, picture_every=3,
)
torch.manual_seed(0)
trainer = Trainer(TINY.build(len(LABELS)), Boxes(), settings, folder, Processes(0, 1, 1, torch.device("cpu")))
rename = Path.replace

def rename_or_die(source, target):
    global renames
    renames -= 1
    if renames == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(source, target)

Path.replace = rename_or_die
signal.setitimer(signal.ITIMER_REAL, seconds)  # its signal ends the process at once
if (folder / "checkpoint.pth").exists():
    trainer.resume()
else:
    trainer.delete_earlier_run()
trainer.run()
"""
"""Resumes a run, and dies before the given rename or after the given time; 0 for neither."""


def train(folder: Path, renames: int = 0, seconds: float = 0.0) -> bool:
    """Return whether the run came to its end."""
    command = [sys.executable, "-c", TRAINING, str(folder), str(renames), str(seconds)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    code = subprocess.run(command, check=False, env=environment).returncode
    assert code in (0, -signal.SIGKILL, -signal.SIGALRM)
    return code == 0


def read(folder: Path) -> Snapshot:
    return snapshots.load(folder / snapshots.FILE_NAME)


def metrics(folder: Path) -> list[list[str]]:
    """Return the rows of metrics.csv but for the column that tells the time."""
    with (folder / "metrics.csv").open(newline="") as file:
        return [row[:-1] for row in csv.reader(file)]


def test_killed_again_and_again_it_ends_as_if_it_had_never_been(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert train(whole)
    steps = [0]
    for renames, seconds in ((1, 0.0), (3, 0.0), (2, 0.0), (0, 0.15), (4, 0.0)):
        if train(killed, renames, seconds):
            break
        steps.append(read(killed)["step"] if (killed / snapshots.FILE_NAME).exists() else 0)
    assert steps == sorted(steps), "no checkpoint is lost"
    assert steps[-1] > 0
    assert train(killed)
    assert sorted(path.name for path in killed.rglob("*")) == sorted(path.name for path in whole.rglob("*"))
    assert metrics(killed) == metrics(whole)
    for part in ("model", "average"):
        expected = read(whole)[part]
        assert all(torch.equal(tensor, expected[name]) for name, tensor in read(killed)[part].items())
