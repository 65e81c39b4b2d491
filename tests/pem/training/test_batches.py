"""A dataset that cannot be read ends training with the same line, whichever process reads it."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image

from pem_edge.pem.training.data.batches import make_loader
from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.settings import TrainingSettings
from pem_edge.runtime.datasets.opening import open_dataset
from pem_edge.runtime.errors import InputError
from tests.runtime.helpers import coco_folder

ROOT = Path(__file__).parents[3]
ALONE = Processes(0, 1, 1, torch.device("cpu"))


def settings(workers: int) -> TrainingSettings:
    return TrainingSettings(steps=3, batch=2, size=(64, 64), workers=workers)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_map_is_one_line_without_a_workers_traceback(workers: int, tmp_path: Path) -> None:
    folder = coco_folder.write(tmp_path, 4)
    Image.open(folder / "panoptic" / "1.png").save(folder / "panoptic" / "1.png", "JPEG")
    with pytest.raises(InputError) as caught:
        list(make_loader(open_dataset(str(folder)), settings(workers), ALONE, 0))
    assert str(caught.value).startswith(f"{folder}/panoptic/1.png is a JPEG")
    assert "\n" not in str(caught.value)


def test_many_workers_are_no_reason_for_a_warning_of_pytorchs() -> None:
    many = settings((os.cpu_count() or 1) + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(make_loader(open_dataset("toy:2:64x64"), many, ALONE, 0))) == 3


STUCK = """
import os, signal, subprocess, time, torch
from pem_edge.pem.training.data.batches import make_loader
from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.settings import TrainingSettings
from pem_edge.runtime.datasets.opening import open_dataset

class Stuck:
    def __init__(self):
        self.dataset, self.left = open_dataset("toy:2"), 6
    def __len__(self):
        return 2
    def __getitem__(self, index):
        self.left -= 1
        if self.left < 0:
            time.sleep(10**6)  # as on a network that does not answer
        return self.dataset[index]

settings = TrainingSettings(steps=100, batch=2, size=(64, 64), workers=1)
batches = make_loader(Stuck(), settings, Processes(0, 1, 1, torch.device("cpu")), 0)
next(batches)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
stop = ["kill", "-TERM", "--", f"-{os.getpgid(0)}"]  # as a service is stopped: the workers go on as long as the trainer
subprocess.run(stop, check=True, start_new_session=True)
print("read", sum(1 for _ in zip(range(2), batches)))
"""


def test_a_stuck_worker_ends_with_the_trainer_and_not_before(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STUCK],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "read 2\n"), done.stderr


def test_a_long_path_to_temporary_files_loses_no_batch(tmp_path: Path) -> None:
    """Sockets, which PyTorch needs for tensors from workers, may have paths of 107 bytes."""
    deep = tmp_path / ("long-" * 20)
    deep.mkdir()
    command = [sys.executable, "-m", "pem_edge.pem.cli.train", "--variant", "pem-nano", "--dataset", "toy:2:64x64"]
    command += ["--size", "64x64", "--batch", "2", "--steps", "1", "--workers", "1", "-o", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(deep)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert list(deep.iterdir()) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_a_good_dataset_is_read_to_the_last_step(workers: int, tmp_path: Path) -> None:
    dataset = open_dataset(str(coco_folder.write(tmp_path, 4)))
    assert [tuple(batch.images.shape) for batch in make_loader(dataset, settings(workers), ALONE, 1)] == [
        (2, 64, 64, 3)
    ] * 2
