"""Blocks are ranked by what each costs, and kept out of INT8 until the budget holds, no longer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection

import onnx
import pytest

from pem_edge import calibration
from pem_edge.calibration.activations.collect import collect
from pem_edge.calibration.activations.tensor_statistics import Statistics
from pem_edge.calibration.assessment.block_choice import Quantize
from pem_edge.calibration.placement import tensors
from pem_edge.calibration.placement.block_names import block_of
from pem_edge.runtime.errors import CalibrationError
from tests.calibration.graphs import SIZE, Noise, residual
from tests.calibration.terminal import Terminal

COSTS = {"a": 0.1, "b": 2.0, "c": 0.0, "d": 0.5}
EXACT = 50.0


def quantize(keep: Collection[str]) -> onnx.ModelProto:
    """Return a model that remembers what was kept."""
    return onnx.ModelProto(producer_name=",".join(sorted(keep)))


def score(model: onnx.ModelProto) -> float:
    """Return what blocks cost adds up, and half as much again where several are in INT8 together."""
    drops = [cost for name, cost in COSTS.items() if name not in model.producer_name.split(",")]
    return EXACT - sum(drops) * (1.5 if len(drops) > 1 else 1)


@pytest.mark.parametrize(
    ("bar", "work"),
    [
        ("sensitivity", lambda fails: calibration.sensitivity(["a", "b"], fails, score, EXACT)),
        ("choosing", lambda fails: calibration.choose(["a", "b"], fails, score, EXACT, 0.1)),
    ],
)
def test_an_error_comes_on_a_line_of_its_own(
    bar: str, work: Callable[[Quantize], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_with_one(keep: Collection[str]) -> onnx.ModelProto:
        if len(keep) == 1:
            raise CalibrationError("no room")
        return quantize(keep)

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(CalibrationError):
        work(fail_with_one)
    assert bar in terminal.getvalue()
    assert terminal.getvalue().endswith("\n")


def test_blocks_are_ranked_by_what_each_costs_alone() -> None:
    ranking = calibration.sensitivity(list(COSTS), quantize, score, EXACT)
    assert list(ranking) == ["b", "d", "a", "c"]
    assert ranking == pytest.approx(COSTS)


@pytest.mark.parametrize(("most", "kept"), [(10, ()), (1.0, ("b",)), (0.5, ("b", "d")), (0.1, ("b", "d", "a"))])
def test_the_fewest_are_kept_with_which_the_measured_drop_is_within_the_budget(
    most: float, kept: tuple[str, ...]
) -> None:
    choice = calibration.choose(["b", "d", "a", "c"], quantize, score, EXACT, most)
    assert choice.kept == kept
    assert choice.drop == choice.steps[-1] <= most
    assert all(step > most for step in choice.steps[:-1])


def test_a_budget_out_of_reach_keeps_everything() -> None:
    choice = calibration.choose(["b", "d", "a", "c"], quantize, score, EXACT, -1)
    assert choice.kept == ("b", "d", "a", "c")
    assert choice.drop == 0


def test_of_a_real_graph_one_block_at_a_time_is_quantized() -> None:
    model, images = residual(), Noise(2)
    statistics = Statistics(collect(model, tensors(model), images), "", "", 2, SIZE)
    seen = []

    def watch(quantized: onnx.ModelProto) -> float:
        convolutions = {node.name for node in quantized.graph.node if node.op_type == "DequantizeLinear"}
        seen.append({block_of(name.removesuffix("/DequantizeLinear")) for name in convolutions if ".weight/" in name})
        return 0.0

    names = calibration.blocks(model)
    calibration.sensitivity(names, lambda keep: calibration.quantize(model, statistics, keep=keep)[0], watch, 0.0)
    assert seen == [{name} for name in names]


@pytest.mark.parametrize(
    ("node", "block"),
    [
        ("backbone.features.3.convs.0.conv/Conv", "backbone.features.3"),
        ("backbone.features.0.conv/Conv", "backbone.features.0"),
        ("backbone.res2.0.conv1.conv/Conv", "backbone.res2.0"),
        ("backbone.stem.conv/Conv", "backbone.stem"),
        ("pixel_decoder.levels.0.offsets/Conv", "pixel_decoder.levels.0.offsets"),
        ("pixel_decoder.levels.2.upsample.phases.1/Conv", "pixel_decoder.levels.2.upsample"),
        ("pixel_decoder.levels.1.deform.operator/Conv", "pixel_decoder.levels.1.deform"),
        ("pixel_decoder.projections.3.conv/Conv", "pixel_decoder.projections.3"),
        ("pixel_decoder.mask_features.conv/Conv", "pixel_decoder.mask_features"),
        ("decoder.projections.0/Conv", "decoder.projections.0"),
        ("decoder.layers.5.cross_attention.memory_conv/Conv", "decoder.layers.5.cross_attention"),
        ("backbone.blocks.10.expand/MatMul", "backbone.blocks.10"),
        ("decoder.layers.1.qkv/MatMul", "decoder.layers.1"),
        ("decoder.layers.1.contract/MatMul", "decoder.layers.1"),
        ("other/Conv", "other/Conv"),
    ],
)
def test_blocks_are_named_after_modules(node: str, block: str) -> None:
    assert block_of(node) == block
