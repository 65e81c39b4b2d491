"""Batches come from few processes, which end with the trainer; whichever meets an error, it is the same line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image

from pem_edge.pem.training.data import workers
from pem_edge.pem.training.data.batches import make_loader
from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.settings import TrainingSettings
from pem_edge.runtime.datasets.opening import open_dataset
from pem_edge.runtime.errors import InputError
from tests.helpers.boxes import Boxes
from tests.runtime.helpers import coco_folder

ROOT = Path(__file__).parents[3]
ALONE = Processes(0, 1, 1, torch.device("cpu"))


def settings(count: int) -> TrainingSettings:
    return TrainingSettings(steps=3, batch=2, size=(64, 64), workers=count)


@pytest.mark.parametrize("count", [0, 2])
def test_a_bad_map_is_one_line_without_a_workers_traceback(count: int, tmp_path: Path) -> None:
    folder = coco_folder.write(tmp_path, 4)
    Image.open(folder / "panoptic" / "1.png").save(folder / "panoptic" / "1.png", "JPEG")
    with pytest.raises(InputError) as caught:
        list(make_loader(open_dataset(str(folder)), settings(count), ALONE, 0))
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
        self.labels = self.dataset.labels
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


ORPHANS = """
import multiprocessing, sys, time, torch
from threading import Thread
from pem_edge.pem.training.data.batches import make_loader
from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.settings import TrainingSettings
from tests.helpers.boxes import Boxes

class Stuck(Boxes):
    def __getitem__(self, index):
        if self.is_stuck:
            time.sleep(10**6)
        return super().__getitem__(index)

settings = TrainingSettings(steps=100, batch=2, size=(64, 64), workers=2)
dataset = Stuck()
dataset.is_stuck = sys.argv[1] == "stuck"
batches = make_loader(dataset, settings, Processes(0, 1, 1, torch.device("cpu")), 0)
Thread(target=next, args=(batches,), daemon=True).start()
while len(multiprocessing.active_children()) < 2:
    time.sleep(0.01)
time.sleep(0.5)
print(*(child.pid for child in multiprocessing.active_children()), flush=True)
time.sleep(10**6)
"""


def is_running(process: int) -> bool:
    """Return whether a process is there, and not only its entry, which an init of a container may never collect."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("state", ["stuck", "idle"])
def test_workers_end_when_the_trainer_was_killed(state: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", ORPHANS, state], env=environment, stdout=subprocess.PIPE) as trainer:
        assert trainer.stdout is not None
        left = [int(number) for number in trainer.stdout.readline().split()]
        assert len(left) == 2
        trainer.kill()
    until = time.monotonic() + 60
    while (left := [process for process in left if is_running(process)]) and time.monotonic() < until:
        time.sleep(0.05)
    for process in left:
        os.kill(process, signal.SIGKILL)
    assert left == []


class Unsendable(Boxes):
    """A dataset that is open: another process can only get it by inheritance, or by opening it again."""

    def __reduce__(self) -> str:
        raise AssertionError("the dataset is sent to a worker")


def test_workers_inherit_the_dataset() -> None:
    assert len(list(make_loader(Unsendable(), settings(2), ALONE, 0))) == 3


@pytest.mark.parametrize(
    ("cpus", "per_machine", "device", "expected"),
    [(1, 1, "cpu", 0), (2, 1, "cpu", 1), (64, 1, "cpu", 1), (4, 4, "cpu", 0), (8, 1, "cuda", 8), (64, 2, "cuda", 16)],
)
def test_the_model_and_the_workers_share_the_cores(
    cpus: int, per_machine: int, device: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "usable_cpus", lambda: cpus)
    assert workers.choose_count(Processes(0, per_machine, per_machine, torch.device(device))) == expected


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


@pytest.mark.parametrize("count", [0, 2])
def test_a_good_dataset_is_read_to_the_last_step(count: int, tmp_path: Path) -> None:
    dataset = open_dataset(str(coco_folder.write(tmp_path, 4)))
    assert [tuple(batch.images.shape) for batch in make_loader(dataset, settings(count), ALONE, 1)] == [
        (2, 64, 64, 3)
    ] * 2
