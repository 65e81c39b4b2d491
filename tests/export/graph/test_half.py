"""Half precision keeps parity because of its islands of single precision; without them it loses it."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from torch import Tensor, nn

from pem_edge import runtime
from pem_edge.export.artifact import OnnxExport, export_onnx
from pem_edge.export.graph import tracing
from pem_edge.export.graph.operation_forms import Precision, resolve
from pem_edge.export.graph.rewrites import half
from pem_edge.export.graph.rewrites.deform_conv import NativeDeformConv
from pem_edge.export.graph.rewrites.gather import GatherDeformConv, GatherSampling, PointCorners, TapCorners
from pem_edge.export.graph.rewrites.half import ISLANDS, Island
from pem_edge.export.graph.rewrites.vit import PlainAttention, RawPatches
from pem_edge.pem import checkpoints
from pem_edge.pem.backbones.vit import VisionTransformer
from pem_edge.pem.layers.attention import BiasedAttention, DotProductAttention, PrototypeSelection
from pem_edge.pem.layers.blocks import GlobalAverage, UnitNorm
from pem_edge.pem.layers.deform_conv import DeformConv2d, TapSampling
from pem_edge.pem.layers.deformable_attention import DeformableSampling
from pem_edge.pem.model import Normalization
from pem_edge.runtime.artifacts.manifest import InputSpec, Thresholds
from pem_edge.runtime.datasets.toy_streets import LABELS, ToyStreets
from pem_edge.runtime.evaluation.evaluate import evaluate

HELD_OUT = 7
"""A seed of scenes that the demo weights' training never saw."""


def normal(*shape: int, scale: float = 1.0, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator) * scale


def batch_norm() -> nn.Module:
    module = nn.BatchNorm2d(8).eval()
    module.running_var = torch.full((8,), 1e5)
    return module


class Sampling(nn.Module):
    """Deformable convolution of given offsets, its data float or half."""

    def __init__(self, operator: nn.Module) -> None:
        super().__init__()
        self.operator = operator
        self.weight = nn.Parameter(normal(2, 4, 3, 3))

    def forward(self, data: Tensor, offsets: Tensor) -> Tensor:
        mask = torch.ones_like(offsets[:, ::2])
        output: Tensor = self.operator(data, offsets, mask, self.weight, None)
        return output


class LevelSampling(nn.Module):
    """Deformable attention to one wide level, with one head."""

    def __init__(self, operator: nn.Module) -> None:
        super().__init__()
        self.operator = operator

    def forward(self, values: Tensor, offsets: Tensor, scores: Tensor) -> Tensor:
        sampled: Tensor = self.operator(values, offsets, scores, [(2, 200)])
        return sampled


def raw_patches() -> RawPatches:
    """Return an embedding whose filters respond to brightness, for which the bias takes most of the sum away."""
    backbone = VisionTransformer(8, heads=2, depth=0, side=2, registers=0)
    backbone.patches.weight = nn.Parameter(0.02 + normal(8, 3, 16, 16, scale=0.002))
    return RawPatches(backbone.requires_grad_(False), Normalization(), (2, 2))


NEEDED: dict[type[nn.Module], tuple[nn.Module, list[Tensor]]] = {
    nn.BatchNorm2d: (batch_norm(), [normal(1, 8, 6, 6, scale=300)]),
    nn.LayerNorm: (nn.LayerNorm(256), [normal(1, 4, 256, scale=400)]),
    UnitNorm: (UnitNorm(dim=1), [normal(1, 256, 9, scale=52)]),
    PrototypeSelection: (
        PrototypeSelection(8),
        [normal(1, 256, 1) + normal(1, 256, 8000, scale=0.1), normal(1, 4, 256), torch.ones(1, 4, 80, 100)],
    ),
    DotProductAttention: (DotProductAttention(), [normal(1, 8, 100, 32, scale=8, seed=i) for i in range(3)]),
    RawPatches: (raw_patches(), [torch.tensor([124.0, 116, 104])[:, None, None] + normal(1, 3, 32, 32).round()]),
    nn.GroupNorm: (nn.GroupNorm(4, 8), [normal(1, 8, 6, 6, scale=400)]),
    BiasedAttention: (
        BiasedAttention(),
        [normal(1, 8, 100, 32, scale=8), normal(1, 8, 32, 100, scale=8, seed=1), normal(1, 8, 100, 32, seed=2)],
    ),
    DeformableSampling: (
        LevelSampling(DeformableSampling()),
        [normal(1, 400, 1, 4), normal(1, 400, 1, 1, 4, 2, seed=1), normal(1, 400, 1, 4, seed=2)],
    ),
    TapSampling: (Sampling(DeformConv2d()), [normal(1, 4, 2, 200), normal(1, 18, 2, 200)]),
    PointCorners: (
        LevelSampling(GatherSampling()),
        [normal(1, 400, 1, 4), normal(1, 400, 1, 1, 4, 2, seed=1), normal(1, 400, 1, 4, seed=2)],
    ),
    TapCorners: (Sampling(GatherDeformConv()), [normal(1, 4, 2, 200), normal(1, 18, 2, 200)]),
    NativeDeformConv: (Sampling(NativeDeformConv()), [normal(1, 4, 2, 200), normal(1, 18, 2, 200)]),
}
"""By island: a module it protects and inputs as trained models have them. Norms of 840 have been seen in keys."""


class GatherElements(OpRun):
    """ONNX's own takes no more than 64 elements."""

    op_domain = ""

    def _run(self, data: NDArray[Any], indices: NDArray[Any], axis: int = 0) -> tuple[NDArray[Any]]:
        return (np.take_along_axis(data, indices, axis),)


class GridSample(OpRun):
    """ONNX's own is that of opset 20. Interpolates in the data's type."""

    op_domain = ""

    def _run(self, data: NDArray[Any], grid: NDArray[Any], **_attributes: Any) -> tuple[NDArray[Any]]:
        one, half = data.dtype.type(1), data.dtype.type(0.5)
        x, y = (((grid[..., i] + one) * data.dtype.type(data.shape[3 - i]) - one) * half for i in (0, 1))
        padded = np.pad(data, ((0, 0), (0, 0), (1, 2), (1, 2)))
        left, top = np.floor(x), np.floor(y)
        samples = np.zeros((*data.shape[:2], *grid.shape[1:3]), data.dtype)
        for row, column in np.ndindex(2, 2):
            share = (one - abs(y - top - row)) * (one - abs(x - left - column))
            rows = np.clip(top + row + 1, 0, data.shape[2] + 1).astype(int)[0]
            columns = np.clip(left + column + 1, 0, data.shape[3] + 1).astype(int)[0]
            samples += padded[:, :, rows, columns] * share[:, None].astype(data.dtype)
        return (samples,)


def computed_as_typed(module: nn.Module, inputs: Sequence[Tensor], islands: Sequence[Island]) -> NDArray[Any]:
    """Return what an engine computes that keeps to the graph's types, rounding after every operation."""
    rewritten = nn.Sequential(copy.deepcopy(module))[0].eval()
    half.convert(rewritten, islands)
    halves = tuple(x.half() for x in inputs)
    names = [f"x{i}" for i in range(len(halves))]
    program = torch.onnx.export(rewritten, halves, dynamo=True, opset_version=tracing.OPSET, input_names=names)
    assert program is not None
    values = dict(zip(names, (x.numpy() for x in halves), strict=True))
    evaluator: Any = ReferenceEvaluator(program.model_proto, new_ops=[GatherElements, GridSample])
    with np.errstate(all="ignore"):
        return np.asarray(evaluator.run(None, values)[0], np.float64)


@pytest.mark.parametrize("kind", NEEDED)
def test_without_the_island_the_module_loses_parity(kind: type[nn.Module]) -> None:
    module, inputs = NEEDED[kind]
    exact = module if kind is not NativeDeformConv else NEEDED[TapSampling][0]
    rounded = [x.half().double() for x in inputs]
    expected = copy.deepcopy(exact).double()(*rounded)
    expected = (expected[0] if isinstance(expected, tuple) else expected).detach().numpy()
    scale = np.abs(expected).max()
    kept = np.abs(computed_as_typed(module, inputs, ISLANDS) - expected).max() / scale
    lost = (
        np.abs(computed_as_typed(module, inputs, [i for i in ISLANDS if i.kind is not kind]) - expected).max() / scale
    )
    assert kept < 2e-3
    assert not lost < 2e-2, f"{kind.__name__} is not needed: {lost:.1e} without it, {kept:.1e} with it"


def test_attention_of_vision_transformers_needs_no_island() -> None:
    """Logits deviate by 8, as they do where attention is sharp, and every operation rounds to half."""
    inputs = [normal(1, 60, 128, scale=scale, seed=seed) for seed, scale in enumerate((0.5, 2, 1))]
    module = PlainAttention(2)
    expected = module(*(x.half().double() for x in inputs)).numpy()
    off = [
        float(np.abs(computed_as_typed(module, inputs, islands) - expected).max() / np.abs(expected).max())
        for islands in (ISLANDS, [Island(PlainAttention, "to compare with")])
    ]
    assert off[0] < 5e-3
    assert off[1] < off[0]


def test_every_island_is_shown_to_be_needed() -> None:
    # What GlobalAverage guards against, adding up in half, is an engine's choice that NumPy does not make.
    assert {island.kind for island in ISLANDS} - {GlobalAverage} == set(NEEDED)
    assert all(island.reason for island in ISLANDS)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[Precision, Path]:
    """Return the demo weights at 256x512 as ONNX artifacts; their export proves parity."""
    folder, demo = tmp_path_factory.mktemp("half"), checkpoints.open_checkpoint("demo")
    paths: dict[Precision, Path] = {"fp32": folder / "single.onnx", "fp16": folder / "half.onnx"}
    for precision, path in paths.items():
        export_onnx(
            OnnxExport(
                model=demo.model,
                checkpoint=demo.weights(),
                output=path,
                input=InputSpec(height=256, width=512),
                labels=LABELS,
                forms=resolve("onnx", precision=precision),
                thresholds=Thresholds(),
            )
        )
    return paths


def test_the_graph_computes_in_half_between_a_byte_image_and_float_outputs(exported: dict[Precision, Path]) -> None:
    model = onnx.shape_inference.infer_shapes(onnx.load(exported["fp16"]))
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
    assert {output.type.tensor_type.elem_type for output in model.graph.output} == {TensorProto.FLOAT}
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    convolutions = Counter(types[node.output[0]] for node in model.graph.node if node.op_type == "Conv")
    norms = Counter(types[node.output[0]] for node in model.graph.node if node.op_type == "LayerNormalization")
    assert set(convolutions) == {TensorProto.FLOAT16}
    assert set(norms) == {TensorProto.FLOAT}
    assert exported["fp16"].stat().st_size < 0.6 * exported["fp32"].stat().st_size


def test_outputs_may_be_half(tmp_path: Path) -> None:
    demo = checkpoints.open_checkpoint("demo")
    spec, forms = InputSpec(height=64, width=96), resolve("onnx", precision="fp16", outputs="float16")
    request = OnnxExport(demo.model, demo.weights(), tmp_path / "a.onnx", spec, LABELS, forms, Thresholds())
    manifest = export_onnx(request)
    assert manifest.outputs == {"logits": "float16", "masks": "float16"}
    outputs = onnx.load(tmp_path / "a.onnx").graph.output
    assert {output.type.tensor_type.elem_type for output in outputs} == {TensorProto.FLOAT16}
    assert runtime.load(tmp_path / "a.onnx")(np.zeros((64, 96, 3), np.uint8)).panoptic.shape == (64, 96)


@pytest.mark.exhaustive  # the parity gate of an export compares half with the module, too
def test_half_segments_streets_as_well_as_single(exported: dict[Precision, Path]) -> None:
    dataset = ToyStreets(100, seed=HELD_OUT)
    pq, classes = {}, {}
    for precision, path in exported.items():
        with runtime.load(path, backend="onnxruntime") as segmenter:
            pq[precision] = evaluate(segmenter, dataset, semantic=False).quality["all"]["pq"]
            images = (dataset[index].image[None] for index in range(len(dataset)))
            classes[precision] = np.stack([segmenter.backend(image)[0].argmax(axis=2) for image in images])
    assert pq["fp16"] == pytest.approx(pq["fp32"], abs=0.1)
    same, none = classes["fp16"] == classes["fp32"], len(LABELS)
    assert same[classes["fp32"] != none].mean() > 0.999, "queries that name something"
    # One query in a thousand has two classes so close that rounding the weights to half, all else exact, swaps them.
    assert same.mean() > 0.998
