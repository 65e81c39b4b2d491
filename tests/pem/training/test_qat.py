"""Training in simulated INT8 rounds as exports do, learns through the rounding, and leaves an ordinary checkpoint."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from pem_edge import pem
from pem_edge.calibration.graph.index import Graph
from pem_edge.calibration.placement.convolutions import is_ordinary
from pem_edge.calibration.placement.scales import round_weights, weight_steps
from pem_edge.export.graph import tracing
from pem_edge.export.graph.operation_forms import Forms
from pem_edge.export.graph.rewrites import fold_batchnorm, prepare
from pem_edge.export.graph.rewrites.upsample import PhaseUpsample
from pem_edge.pem.cli.train import main
from pem_edge.pem.layers.blocks import ConvNorm
from pem_edge.pem.training import snapshots
from pem_edge.pem.training.data.batches import make_loader
from pem_edge.pem.training.objective import points
from pem_edge.pem.training.objective.qat import (
    MAX_LEVEL,
    QuantizationAware,
    find_convolutions,
    quantize_input,
    quantize_weight,
)
from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.settings import TrainingSettings
from pem_edge.pem.training.trainer import Trainer
from reference.weights import randomized
from tests.helpers.boxes import LABELS, Boxes
from tests.helpers.tiny import TINY

SETTINGS = TrainingSettings(
    steps=6, batch=4, size=(64, 64), learning_rate=1e-3, backbone_factor=1.0, clip=1.0, workers=0, log_every=1, qat=True
)
ALONE = Processes(0, 1, 1, torch.device("cpu"))

Make = Callable[..., Trainer]
Train = Callable[..., tuple[int, str]]


@pytest.fixture(autouse=True)
def _gradients() -> Iterator[None]:
    with torch.inference_mode(False):
        yield


@pytest.fixture
def trainer(tmp_path: Path) -> Make:
    """Return a function that sets up a run of the tiny variant in ``tmp_path / name``."""

    def make(
        name: str, settings: TrainingSettings = SETTINGS, model: pem.PEM | None = None, **of_boxes: Any
    ) -> Trainer:
        torch.manual_seed(0)
        return Trainer(model or TINY.build(len(LABELS)), Boxes(**of_boxes), settings, tmp_path / name, ALONE)

    return make


def exported(weights: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return what an export makes of ``weights``, and where two steps are about equally near."""
    steps = weight_steps(weights).astype(np.float64).reshape(-1, 1, 1, 1)
    tied = np.abs(np.abs(weights / steps) % 1 - 0.5) < 1e-3
    return round_weights(weights, weight_steps(weights)) * steps, tied


def assert_exports_to(ours: Tensor, raw: Tensor) -> None:
    """``ours`` is what an export makes of ``raw``, (C', C, kh, kw)."""
    expected, tied = exported(raw.detach().numpy())
    found = ours.detach().numpy()
    np.testing.assert_allclose(found[~tied], expected[~tied], rtol=1e-5, atol=0)


@given(
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    kernel=st.sampled_from([1, 3]),
    depthwise=st.booleans(),
    size=st.floats(1e-6, 1e3),
    seed=st.integers(0, 2**16),
)
def test_weights_are_rounded_as_exports_round_them(
    channels: tuple[int, int], kernel: int, depthwise: bool, size: float, seed: int
) -> None:
    torch.manual_seed(seed)
    convolution = nn.Conv2d(channels[0], channels[0] * channels[1], kernel, groups=channels[0] if depthwise else 1)
    with torch.no_grad():
        convolution.weight.mul_(size)
        convolution.weight[0] = 0
    assert_exports_to(quantize_weight(convolution), convolution.weight)


@given(channels=st.tuples(st.integers(1, 4), st.integers(1, 4)), seed=st.integers(0, 2**16))
def test_transposed_convolutions_are_rounded_as_the_four_they_are_exported_as(
    channels: tuple[int, int], seed: int
) -> None:
    torch.manual_seed(seed)
    convolution = nn.ConvTranspose2d(*channels, 4, stride=2, padding=1, bias=False)
    rounded = deepcopy(convolution)
    rounded.weight = nn.Parameter(quantize_weight(convolution).detach())
    pairs = zip(PhaseUpsample(rounded).phases, PhaseUpsample(convolution).phases, strict=True)
    for ours, raw in pairs:
        assert_exports_to(ours.get_parameter("weight"), raw.get_parameter("weight"))


@given(seed=st.integers(0, 2**16))
def test_rounded_weights_stay_on_their_steps_when_batchnorm_is_folded(seed: int) -> None:
    torch.manual_seed(seed)
    block = ConvNorm(3, 4, kernel=3).eval()
    nn.init.normal_(block.bn.weight)
    nn.init.uniform_(block.bn.running_var, 0.01, 10)  # type: ignore[arg-type]  # a buffer that is there
    rounded = deepcopy(block)
    rounded.conv.weight = nn.Parameter(quantize_weight(block.conv).detach())
    for folded in (block, rounded):
        fold_batchnorm(folded)
    weights = rounded.conv.weight.detach().numpy()
    levels = weights / weight_steps(weights).reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(levels, levels.round(), rtol=0, atol=1e-3)
    assert_exports_to(rounded.conv.weight, block.conv.weight)


@given(reach=st.floats(1e-6, 1e6), seed=st.integers(0, 2**16))
def test_inputs_are_rounded_as_quantize_linear_does(reach: float, seed: int) -> None:
    values = np.random.default_rng(seed).normal(0, reach / 2, 200).astype(np.float32)
    step = np.float32(reach) / np.float32(MAX_LEVEL)
    levels = values / step
    expected = levels.round().clip(-128, 127) * step
    tied = np.abs(np.abs(levels) % 1 - 0.5) < 1e-3
    found = quantize_input(torch.from_numpy(values), torch.tensor(reach)).numpy()
    np.testing.assert_allclose(found[~tied], expected[~tied], rtol=1e-5)


def test_an_input_that_is_all_zero_stays_so() -> None:
    assert torch.equal(quantize_input(torch.zeros(3), torch.tensor(0.0)), torch.zeros(3))


def test_gradients_pass_rounding_and_stop_at_clipping() -> None:
    values = torch.tensor([-3.0, -0.7, 0.0, 0.3, 0.99, 1.5], requires_grad=True)
    upstream = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    quantize_input(values, torch.tensor(1.0)).backward(upstream)  # type: ignore[no-untyped-call]
    assert values.grad is not None
    assert values.grad.tolist() == [0, 2, 3, 4, 5, 0]


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_every_weight_gets_its_gradient(kind: type[nn.Conv2d]) -> None:
    """The range of weights is their greatest, so none is clipped."""
    convolution = kind(3, 2, 4)
    upstream = torch.randn_like(convolution.weight)
    quantize_weight(convolution).backward(upstream)  # type: ignore[no-untyped-call]
    assert convolution.weight.grad is not None
    torch.testing.assert_close(convolution.weight.grad, upstream, rtol=0, atol=0)


def test_the_convolutions_are_those_that_exports_quantize() -> None:
    """But for linear layers that are exported as convolutions."""
    model = randomized(TINY.build(len(LABELS)))
    index = Graph(tracing.to_onnx(prepare(model, Forms()), torch.zeros(1, 64, 64, 3, dtype=torch.uint8)))
    names = [str(node.name).removesuffix("/Conv") for node in index.nodes if is_ordinary(index, node)]
    ordinary = {re.sub(r"\.phases\.\d$", ".conv", name) for name in names}
    linear = {name for name in ordinary if name.endswith("cross_attention")}
    assert len(linear) == 3
    assert find_convolutions(model).keys() == ordinary - linear


def losses_of(run: Trainer, module: nn.Module) -> Tensor:
    """Return the losses of a batch that no run of these tests has seen."""
    batch = next(iter(make_loader(Boxes(), replace(SETTINGS, seed=9), ALONE, 0)))
    where = points.draw_points(4, run.stepper.plan.total, torch.Generator().manual_seed(0))
    with torch.no_grad():
        losses: Tensor = module(
            batch.images, batch.segment_map, batch.classes, where, run.stepper.plan, torch.tensor(12.0)
        )
    return losses


def test_outside_a_call_the_model_is_as_it_was(trainer: Make) -> None:
    run = trainer("run")
    assert run.stepper.quantized is not None
    before = losses_of(run, run.stepper.supervised.eval())
    state = {name: tensor.clone() for name, tensor in run.stepper.model.state_dict().items()}
    quantized = losses_of(run, run.stepper.quantized.train())
    assert not torch.equal(quantized, before), "nothing is rounded"
    torch.testing.assert_close(quantized, before, rtol=0.1, atol=0.1)
    assert torch.equal(losses_of(run, run.stepper.supervised.eval()), before)
    after = run.stepper.model.state_dict()
    assert after.keys() == state.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in state.items())


def test_ranges_follow_training_alone(trainer: Make) -> None:
    run = trainer("run")
    assert run.stepper.quantized is not None
    run.stepper.quantized.train()
    losses_of(run, run.stepper.quantized)
    seen = run.stepper.quantized.reaches.clone()
    assert (seen > 0).all()
    pixels = run.stepper.model.normalize(next(iter(make_loader(Boxes(), replace(SETTINGS, seed=9), ALONE, 0))).images)
    torch.testing.assert_close(seen[0], pixels.abs().quantile(0.9999), rtol=0.02, atol=0)
    run.stepper.quantized.reaches.mul_(2)
    losses_of(run, run.stepper.quantized.eval())
    torch.testing.assert_close(run.stepper.quantized.reaches, 2 * seen)
    losses_of(run, run.stepper.quantized.train())
    torch.testing.assert_close(run.stepper.quantized.reaches[0], seen[0] * (2 * 0.98 + 0.02))


def test_training_lowers_the_loss_in_int8(trainer: Make) -> None:
    start = trainer("start", replace(SETTINGS, steps=40, learning_rate=3e-3, qat=False))
    start.run()
    run = trainer("run", replace(SETTINGS, steps=40), deepcopy(start.stepper.model))
    assert isinstance(run.stepper.quantized, QuantizationAware)
    losses_of(run, run.stepper.quantized.train())  # which finds ranges
    before = losses_of(run, run.stepper.quantized.eval()).sum()
    run.run()
    assert losses_of(run, run.stepper.quantized.eval()).sum() < 0.9 * before


def test_a_resumed_run_equals_one_that_never_stopped(trainer: Make) -> None:
    whole = trainer("whole")
    whole.run()
    stopped = trainer("stopped", interrupt_after=10)
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    resumed = trainer("stopped")
    resumed.resume()
    assert 0 < resumed.step < SETTINGS.steps
    resumed.run()
    assert whole.stepper.quantized is not None
    assert resumed.stepper.quantized is not None
    expected = whole.stepper.quantized.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in resumed.stepper.quantized.state_dict().items())
    expected = whole.stepper.average.model.state_dict()
    assert all(
        torch.equal(tensor, expected[name]) for name, tensor in resumed.stepper.average.model.state_dict().items()
    )


@pytest.fixture
def train(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Train:
    """Return a function from further options of pem-train to exit code and standard error of a run on toy streets."""
    few = ["--variant", "pem-nano", "--dataset", "toy:4:64x64", "--size", "64x64", "--steps", "2", "--batch", "2"]

    def run(*more: str) -> tuple[int, str]:
        code = main([*few, "--workers", "0", "--device", "cpu", "-o", str(tmp_path / "out"), *more])
        return code, capfd.readouterr().err

    return run


def test_what_is_left_is_an_ordinary_checkpoint(train: Train, tmp_path: Path) -> None:
    code, said = train("--weights", "demo", "--qat")
    assert code == 0, said
    before, after = pem.load("demo").state_dict(), pem.load(tmp_path / "out" / "pem-nano.safetensors").state_dict()
    assert before.keys() == after.keys()
    statistics = [name for name in before if "running" in name]
    assert statistics
    for name in statistics:
        torch.testing.assert_close(after[name], before[name], msg=f"{name} was not frozen")
    name = "backbone.features.3.convs.1.conv.weight"
    assert not torch.equal(after[name], before[name]), "nothing was learned"


def test_the_recipe_is_gentle_and_the_users_options_win(train: Train, tmp_path: Path) -> None:
    assert train("--weights", "demo", "--qat", "--backbone-factor", "0.5")[0] == 0
    chosen = snapshots.load(tmp_path / "out" / snapshots.FILE_NAME)["settings"]
    expected = {
        "qat": True,
        "learning_rate": pytest.approx(7e-5 / 4),
        "precision": "fp32",
        "steps": 2,
        "backbone_factor": 0.5,
    }
    assert {name: chosen[name] for name in expected} == expected


@pytest.mark.parametrize("more", [(), ("--backbone", "resnet50.pth")])
def test_without_trained_weights_it_is_one_line(train: Train, tmp_path: Path, more: tuple[str, ...]) -> None:
    code, said = train("--qat", *more)
    assert code == 2
    assert len(said.splitlines()) == 1
    assert "--qat needs trained weights to start from: give them with --weights" in said
    assert not (tmp_path / "out").exists()
