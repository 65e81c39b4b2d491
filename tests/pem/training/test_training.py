"""A run learns, stops, goes on and is written as promised; small enough for any machine."""

from __future__ import annotations

import csv
import math
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from pem_edge.pem.model import PEM
from pem_edge.pem.training import snapshots
from pem_edge.pem.training.data.batches import Batch, make_loader
from pem_edge.pem.training.objective import points
from pem_edge.pem.training.objective.points import PointPlan
from pem_edge.pem.training.objective.supervision import Supervised
from pem_edge.pem.training.optimization import Average, make_optimizer, set_learning_rate
from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.reporting import progress
from pem_edge.pem.training.settings import LossWeights, TrainingSettings
from pem_edge.pem.training.trainer import Trainer
from pem_edge.pem.variants.pyramid import PyramidVariant
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.dataset import Sample
from pem_edge.runtime.errors import CheckpointError, InputError, OutputError, TrainingError
from tests.helpers.boxes import LABELS, Boxes
from tests.helpers.tiny import TINY, TINY_MASK2FORMER, TINY_PROSCALE

SETTINGS = TrainingSettings(
    steps=8, batch=4, size=(64, 64), learning_rate=3e-3, backbone_factor=1.0, clip=1.0, workers=0, log_every=1, seed=5
)
ALONE = Processes(0, 1, 1, torch.device("cpu"))

Train = Callable[..., Trainer]


@pytest.fixture(autouse=True)
def _gradients() -> Iterator[None]:
    with torch.inference_mode(False):
        yield


@pytest.fixture
def trainer(tmp_path: Path) -> Train:
    """Return a function that sets up a run of the tiny variant in ``tmp_path / name``."""

    def make(name: str = "run", dataset: Boxes | None = None, settings: TrainingSettings = SETTINGS) -> Trainer:
        return Trainer(tiny(), Boxes() if dataset is None else dataset, settings, tmp_path / name, ALONE)

    return make


def tiny() -> PEM:
    torch.manual_seed(0)
    return TINY.build(len(LABELS))


def metrics(folder: Path) -> list[dict[str, float]]:
    """Return the rows of metrics.csv that do not tell the time."""
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if k != "images_per_second"} for row in csv.DictReader(file)]


def weights(trainer: Trainer) -> dict[str, Tensor]:
    return {
        **trainer.stepper.model.state_dict(),
        **{f"average.{k}": v for k, v in trainer.stepper.average.model.state_dict().items()},
    }


def test_losses_decrease_over_the_first_hundred_steps(trainer: Train, tmp_path: Path) -> None:
    run = trainer(settings=replace(SETTINGS, steps=100, log_every=10))
    run.run()
    rows = metrics(tmp_path / "run")
    assert [row["step"] for row in rows] == list(range(10, 101, 10))
    for loss in ("loss", "class", "mask", "dice"):
        assert rows[-1][loss] < 0.75 * rows[0][loss]


@pytest.mark.parametrize("variant", [TINY_MASK2FORMER, TINY_PROSCALE], ids=lambda row: row.name)
def test_transformers_learn_by_the_same_recipe(variant: PyramidVariant, tmp_path: Path) -> None:
    torch.manual_seed(0)
    settings = replace(SETTINGS, steps=30, log_every=10)
    Trainer(variant.build(len(LABELS)), Boxes(), settings, tmp_path / "run", ALONE).run()
    rows = metrics(tmp_path / "run")
    assert rows[-1]["loss"] < 0.9 * rows[0]["loss"]


@pytest.mark.parametrize("variant", [TINY_MASK2FORMER, TINY_PROSCALE], ids=lambda row: row.name)
def test_every_parameter_of_a_transformer_gets_a_gradient_in_half_precision(variant: PyramidVariant) -> None:
    torch.manual_seed(0)
    supervised = Supervised(variant.build(len(LABELS)).train(), LossWeights())
    batch = next(iter(make_loader(Boxes(), SETTINGS, ALONE, 0)))
    plan = PointPlan.for_mask(60, (16, 16))
    where = points.draw_points(4, plan.total, torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        supervised(batch.images, batch.segment_map, batch.classes, where, plan, torch.tensor(7.0)).sum().backward()
    without = {name for name, p in supervised.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()}
    assert not without


def test_a_resumed_run_equals_one_that_never_stopped(trainer: Train, tmp_path: Path) -> None:
    """Ctrl-C comes while the fifth batch is read; lines are said every third step, so that one is pending."""
    settings = replace(SETTINGS, log_every=3)
    whole = trainer("whole", settings=settings)
    whole.run()
    stopped = trainer("stopped", Boxes(interrupt_after=18), settings)
    with pytest.raises(KeyboardInterrupt, match=r"stopped after step 5; the checkpoint is .*checkpoint\.pth"):
        stopped.run()
    resumed = trainer("stopped", settings=settings)
    resumed.resume()
    assert resumed.step == 5
    resumed.run()
    assert metrics(tmp_path / "stopped") == metrics(tmp_path / "whole")
    expected = weights(whole)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(resumed).items())


def test_rows_after_the_checkpoint_are_written_again(trainer: Train, tmp_path: Path) -> None:
    """A run that was killed had gone on after its last checkpoint."""
    run = trainer()
    run.run()
    rows = metrics(tmp_path / "run")
    run.progress.restore(3, {"sums": torch.zeros(4), "count": 0})
    assert metrics(tmp_path / "run") == rows[:3]


def test_workers_and_the_place_of_the_start_do_not_matter() -> None:
    alone = list(make_loader(Boxes(5), SETTINGS, ALONE, 0))
    shared = list(make_loader(Boxes(5), replace(SETTINGS, workers=2), ALONE, 6))
    assert len(alone) == 8
    for one, other in zip(alone[6:], shared, strict=True):
        assert all(torch.equal(getattr(one, name), getattr(other, name)) for name in vars(one))


def test_processes_share_a_batch_without_overlap() -> None:
    whole = next(iter(make_loader(Boxes(), SETTINGS, ALONE, 0)))
    parts = [next(iter(make_loader(Boxes(), SETTINGS, Processes(r, 2, 2, ALONE.device), 0))) for r in range(2)]
    assert torch.equal(whole.images[0::2], parts[0].images)
    assert torch.equal(whole.images[1::2], parts[1].images)


def test_every_image_is_seen_once_a_lap() -> None:
    """Without augmentations that matter, sixteen images in four batches are all different."""
    settings = replace(SETTINGS, steps=4, scale=(1.0, 1.0))
    grounds = [batch.segment_map for batch in make_loader(Boxes(16), settings, ALONE, 0)]
    assert len({segment_map.numpy().tobytes() for batch in grounds for segment_map in batch}) == 16


def test_a_failed_write_leaves_the_checkpoint_before(trainer: Train, tmp_path: Path) -> None:
    run = trainer()
    run.run()
    path = tmp_path / "run" / snapshots.FILE_NAME
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))  # the disk takes no more than that of a file
    try:
        with pytest.raises(OutputError, match=r"cannot write .*checkpoint\.pth"):
            snapshots.save({"tensor": torch.zeros(100_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir() if p.name.startswith(".")] == []


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch speaks of an unexpected position."""

    def fill(*_: object) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534")

    monkeypatch.setattr(torch, "save", fill)
    with pytest.raises(OutputError, match=r"cannot write .*: the disk is full, free some space$"):
        snapshots.save({}, tmp_path / snapshots.FILE_NAME)
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_cannot_be_read_costs_no_step(trainer: Train) -> None:
    class Torn(Boxes):
        def __getitem__(self, index: int) -> Sample:
            self.count = getattr(self, "count", 0) + 1
            if self.count > 10:
                raise InputError("p03.jpg is damaged: replace it")
            return super().__getitem__(index)

    with pytest.raises(InputError, match=r"p03\.jpg is damaged: replace it; the checkpoint is .*--resume -o .*torn"):
        trainer("torn", Torn()).run()
    again = trainer("torn")
    again.resume()
    assert again.step == 2
    with pytest.raises(InputError, match=r"p03\.jpg is damaged: replace it; there is no checkpoint yet"):
        trainer("never", Torn(), replace(SETTINGS, batch=16)).run()


def test_slow_steps_are_told_between_reports(
    trainer: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_LONGEST_SILENCE", 0.0)
    trainer(settings=replace(SETTINGS, log_every=8)).run()
    said = capsys.readouterr().err
    assert [f"step {step}/8: loss " in said for step in range(1, 9)] == [False, *[True] * 7]


def test_a_run_of_other_classes_is_not_resumed(trainer: Train) -> None:
    trainer().run()
    others = [Label(0, "grass", False, (0, 100, 0)), *LABELS[1:]]
    with pytest.raises(TrainingError, match="the classes 3: ground, box, bar instead of 3: grass, box"):
        trainer(dataset=Boxes(labels=others)).resume()


def test_a_damaged_checkpoint_is_refused(trainer: Train, tmp_path: Path) -> None:
    run = trainer()
    with pytest.raises(CheckpointError, match="no training to resume"):
        run.resume()
    (tmp_path / "run" / snapshots.FILE_NAME).write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(CheckpointError, match="damaged"):
        run.resume()


def test_a_dataset_without_images_is_refused(trainer: Train) -> None:
    with pytest.raises(TrainingError, match="no images"):
        trainer(dataset=Boxes(0))


def test_losses_that_are_not_finite_end_the_run(trainer: Train) -> None:
    run = trainer()
    with torch.no_grad():
        run.stepper.model.decoder.class_head.bias.fill_(torch.nan)
    with pytest.raises(TrainingError, match="step 1 are not finite"):
        run.run()


def test_images_without_segments_give_finite_losses_and_gradients() -> None:
    supervised = Supervised(tiny().train(), LossWeights())
    plan = PointPlan.for_mask(100, (16, 16))
    where = points.draw_points(2, plan.total, torch.Generator().manual_seed(0))
    batch = Batch(torch.zeros(2, 64, 64, 3, dtype=torch.uint8), torch.full((2, 64, 64), -1), torch.full((2, 1), -1))
    losses = supervised(batch.images, batch.segment_map, batch.classes, where, plan, torch.tensor(1.0))
    losses.sum().backward()
    assert losses[0] > 0
    assert losses[1:].tolist() == [0, 0]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in supervised.parameters())


def test_losses_of_all_predictions_equal_a_plain_loop() -> None:
    """One image, one layer, one segment at a time, from masks of full size, in float64."""
    supervised = Supervised(tiny().train(), LossWeights())
    batch = next(iter(make_loader(Boxes(), SETTINGS, ALONE, 0)))
    plan = PointPlan.for_mask(60, (16, 16))
    where = points.draw_points(4, plan.total, torch.Generator().manual_seed(0))
    segments = torch.tensor(7.0)
    with torch.no_grad():
        found = supervised(batch.images, batch.segment_map, batch.classes, where, plan, segments)
        expected = plain_losses(supervised, batch, where, plan) / torch.tensor([1, 7, 7])
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


def plain_losses(supervised: Supervised, batch: Batch, where: Tensor, plan: PointPlan) -> Tensor:
    model, weights = supervised.model, supervised.weights
    mask_features, levels = model.pixel_decoder(model.backbone(model.normalize(batch.images)))
    total = torch.zeros(3, dtype=torch.float64)
    for state in model.decoder.states(levels, mask_features):
        logits, masks = model.decoder.predict(state.expand(len(where), -1, -1), mask_features)
        entropy = weight = 0.0
        for n, (x, y) in enumerate((p[:, 0], p[:, 1]) for p in where):
            grid = where[n].double() * 2 - 1
            sampled = F.grid_sample(
                masks[n, None].double(), grid[None, None], padding_mode="border", align_corners=False
            )
            segment_map = batch.segment_map[n, (y * 64).long(), (x * 64).long()]
            categories = batch.classes[n][batch.classes[n] >= 0]
            one = (logits[n].double(), sampled[0, :, 0], categories, segment_map)
            pairs = plain_matching(*one, plan, weights)
            wanted = torch.full((8,), len(LABELS))
            for query, segment in pairs:
                wanted[query] = categories[segment]
                total[1:] += plain_mask_losses(sampled[0, query, 0], segment_map == segment, plan)
            chances = logits[n].double().softmax(1)
            for query, category in enumerate(wanted.tolist()):
                share = weights.no_object if category == len(LABELS) else 1.0
                entropy, weight = entropy - share * math.log(chances[query, category]), weight + share
        total[0] += entropy / weight
    return total * torch.tensor([weights.classes, weights.entropy, weights.dice])


def plain_matching(
    logits: Tensor, masks: Tensor, categories: Tensor, segment_map: Tensor, plan: PointPlan, weights: LossWeights
) -> list[tuple[int, int]]:
    few = slice(plan.candidates - plan.kept, plan.candidates)
    cost = np.zeros((len(logits), len(categories)))
    for query, segment in np.ndindex(*cost.shape):
        x, truth = masks[query, few], (segment_map[few] == segment).double()
        chance = logits[query].softmax(0)[categories[segment]]
        cost[query, segment] = weights.entropy * F.binary_cross_entropy_with_logits(x, truth)
        cost[query, segment] += weights.dice * plain_dice(x, truth) - weights.classes * chance
    queries, found = linear_sum_assignment(cost)
    return list(zip(queries.tolist(), found.tolist(), strict=True))


def plain_mask_losses(x: Tensor, truth: Tensor, plan: PointPlan) -> Tensor:
    unsure = x[: plan.candidates].abs().argsort()[: plan.important]
    kept = torch.cat([unsure, torch.arange(plan.candidates, plan.total)])
    x, target = x[kept], truth[kept].double()
    return torch.stack([F.binary_cross_entropy_with_logits(x, target), plain_dice(x, target)])


def plain_dice(x: Tensor, truth: Tensor) -> Tensor:
    return 1 - (2 * (x.sigmoid() * truth).sum() + 1) / (x.sigmoid().sum() + truth.sum() + 1)


def test_the_average_follows_its_recursion() -> None:
    model = tiny()
    average = Average(model, decay=0.5)
    start = model.decoder.class_head.bias
    expected: Tensor = start.detach().double().clone()
    for step in range(12):
        with torch.no_grad():
            start.add_(1)
        average.update(model, step)
        keep = min(0.5, (1 + step) / (10 + step))
        expected = torch.lerp(start.detach().double(), expected, keep)
    torch.testing.assert_close(average.model.decoder.class_head.bias.double(), expected, atol=1e-6, rtol=1e-6)


def test_groups_and_schedule_are_the_recipes() -> None:
    settings = replace(SETTINGS, steps=110, warmup=10, learning_rate=1e-2, backbone_factor=0.1)
    model = tiny()
    adamw = make_optimizer(model, settings)
    named = {id(parameter): name for name, parameter in model.named_parameters()}
    seen = {named[id(p)]: group for group in adamw.param_groups for p in group["params"]}
    assert seen.keys() == set(named.values())
    assert seen["backbone.features.0.conv.weight"]["weight_decay"] == 0.05
    for name in ("backbone.features.0.bn.weight", "decoder.class_head.bias", "decoder.query_features"):
        assert seen[name]["weight_decay"] == 0
    for step, factor in ((0, 1 / 11), (10, 1.0), (60, 0.5), (109, (1 + math.cos(0.99 * math.pi)) / 2)):
        set_learning_rate(adamw, step, settings)
        assert seen["decoder.query_features"]["lr"] == pytest.approx(1e-2 * factor)
        assert seen["backbone.features.0.conv.weight"]["lr"] == pytest.approx(1e-3 * factor)


FLOATS = ("learning_rate", "backbone_factor", "weight_decay", "ema", "clip", "checkpoint_minutes")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"batch": 1}, "BatchNorm"),
        ({"size": (100, 64)}, "size is 100x64, expected multiples of 32: try 96x64"),
        ({"scale": (2.0, 1.0)}, "scale is 2.0:1.0, expected two factors from 0 to 100, the smaller first"),
        ({"ema": 1.0}, "below 1"),
        ({"steps": 10**25}, "expected 1 to 1000000000"),
        ({"batch": 10**25}, "expected 2 to 65536"),
        ({"workers": 10**25}, "expected 0 to 64"),
        ({"seed": 10**25}, "expected 0 to 4294967295"),
        ({"points": 10**25}, "expected 4 to 1000000"),
        ({"size": (999968, 999968)}, "expected up to 100000000 pixels"),
        *(({name: math.nan}, f"{name.replace('_', ' ')} is nan") for name in FLOATS),
        *(({name: math.inf}, f"{name.replace('_', ' ')} is inf") for name in FLOATS[:4]),
        *(({name: -1.0}, f"{name.replace('_', ' ')} is -1") for name in FLOATS),
        ({"scale": (0.5, math.nan)}, "scale is .*nan"),
    ],
)
def test_settings_that_cannot_work_are_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(TrainingError, match=complaint):
        replace(SETTINGS, **change)


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_weights_of_losses_that_cannot_work_are_refused(weight: float) -> None:
    with pytest.raises(TrainingError, match=r"loss weight dice is .*, expected 0 or more"):
        LossWeights(dice=weight)
