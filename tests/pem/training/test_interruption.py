"""A run that is asked to stop ends soon, even in the midst of a step, and goes on later as if it never had."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pem_edge.pem.training import interruption
from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.settings import TrainingSettings
from pem_edge.pem.training.stepping import Stepper
from pem_edge.pem.training.trainer import Trainer
from pem_edge.runtime.errors import TrainingError
from tests.helpers.boxes import LABELS, Boxes
from tests.helpers.tiny import TINY

SETTINGS = TrainingSettings(steps=5, batch=4, size=(64, 64), learning_rate=3e-3, clip=1.0, workers=0, log_every=1)
ALONE = Processes(0, 1, 1, torch.device("cpu"))


@pytest.fixture(autouse=True)
def _gradients() -> Iterator[None]:
    with torch.inference_mode(False):
        yield


@pytest.fixture(autouse=True)
def _no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "_GRACE", 1e-6)


def train(folder: Path, settings: TrainingSettings = SETTINGS) -> Trainer:
    torch.manual_seed(0)
    return Trainer(TINY.build(len(LABELS)), Boxes(), settings, folder, ALONE)


def ask_to_stop() -> None:
    """Press Ctrl-C, and let Python see it and the alarm that it sets."""
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(100_000):
        pass


def take_too_much_memory() -> None:
    torch.empty(1 << 48)


def in_the_forward_pass(trainer: Trainer, act: Callable[[], None]) -> None:
    """Let ``act`` happen at the end of the backbone, in the third step; BatchNorm's statistics have changed by then."""
    calls = iter(range(1000))
    trainer.stepper.model.backbone.register_forward_hook(lambda *_: act() if next(calls) == 2 else None)


def in_the_backward_pass(trainer: Trainer, act: Callable[[], None]) -> None:
    calls = iter(range(1000))
    parameter = next(trainer.stepper.model.decoder.parameters())
    parameter.register_hook(lambda _: act() if next(calls) == 2 else None)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("place", [in_the_forward_pass, in_the_backward_pass])
def test_a_step_that_is_left_in_its_midst_costs_no_step(place: Callable[..., None], tmp_path: Path) -> None:
    whole = train(tmp_path / "whole")
    whole.run()
    stopped = train(tmp_path / "stopped")
    place(stopped, ask_to_stop)
    with pytest.raises(KeyboardInterrupt, match=r"stopped after step 2; the checkpoint is .*checkpoint\.pth"):
        stopped.run()
    resumed = train(tmp_path / "stopped")
    resumed.resume()
    assert resumed.step == 2
    resumed.run()
    expected = whole.stepper.state()
    for part in ("model", "average"):
        found = resumed.stepper.state()[part]
        assert all(torch.equal(tensor, expected[part][name]) for name, tensor in found.items())


def test_handlers_are_as_they_were(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
    stopped = train(tmp_path / "stopped")
    in_the_forward_pass(stopped, ask_to_stop)
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)] == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_the_optimizer_s_update_is_done_as_a_whole(tmp_path: Path) -> None:
    """It is asked to stop in the third: that step counts."""
    stopped = train(tmp_path / "stopped")
    update, calls = stopped.stepper.optimizer.step, iter(range(1000))

    def update_and_ask() -> None:
        if next(calls) == 2:
            ask_to_stop()
        update()

    stopped.stepper.optimizer.step = update_and_ask  # type: ignore[assignment, method-assign]
    with pytest.raises(KeyboardInterrupt, match="stopped after step 3"):
        stopped.run()


def test_memory_that_runs_out_names_a_smaller_batch(tmp_path: Path) -> None:
    run = train(tmp_path / "run")
    in_the_forward_pass(run, take_too_much_memory)
    with pytest.raises(
        TrainingError, match=r"not enough memory on cpu for a step of 4 crops of 64x64: give --batch 2; "
    ):
        run.run()
    smallest = Stepper(TINY.build(3), replace(SETTINGS, batch=2), ALONE)
    with pytest.raises(TrainingError, match="give a --size below 64x64"), smallest.memory_named():
        take_too_much_memory()
