"""Samples that are gathered are those that GridSample takes, wherever they lie, and no GridSample is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from pem_edge import pem
from pem_edge.export.graph import tracing
from pem_edge.export.graph.operation_forms import Forms, Precision
from pem_edge.export.graph.rewrites import prepare, use_gathers
from pem_edge.export.graph.rewrites.gather import GatherDeformConv, GatherSampling
from pem_edge.pem.layers.deform_conv import DeformConv2d, ModulatedDeformConv
from pem_edge.pem.layers.deformable_attention import POINTS, DeformableAttention, DeformableSampling
from pem_edge.runtime.artifacts.manifest import InputSpec, Range
from reference.weights import randomized
from tests.helpers.exhaustive import mostly
from tests.helpers.tiny import TINY, TINY_MASK2FORMER

sizes = st.tuples(st.integers(1, 6), st.integers(1, 9))
reaches = st.sampled_from([0.0, 0.7, 3.0, 40.0, 1e30])
steps = st.sampled_from([0.0, 0.5, 1.0])
"""What offsets are multiples of: with 0.5 and 1 many samples lie on pixels, on borders and halfway beyond them."""
seeds = st.integers(0, 2**16)


def scattered(shape: tuple[int, ...], reach: float, step: float, generator: torch.Generator) -> Tensor:
    """Return offsets up to ``reach``, rounded to multiples of ``step`` unless that is 0."""
    offsets = (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1) * reach
    return offsets if step == 0 else (offsets / step).round() * step


def taps(
    batch: int, size: tuple[int, int], reach: float, step: float, seed: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return what a deformable convolution of 3 channels to 2 takes."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(batch, 3, *size), (2, 3, 3, 3), (2,), (batch, 9, *size)]
    data, weight, bias, mask = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return data, scattered((batch, 18, *size), reach, step, generator), mask.sigmoid(), weight, bias


def points(
    batch: int, levels: list[tuple[int, int]], reach: float, step: float, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what deformable attention of 2 heads of width 3 takes."""
    generator = torch.Generator().manual_seed(seed)
    length = sum(height * width for height, width in levels)
    values = torch.randn(batch, length, 2, 3, generator=generator, dtype=torch.float64)
    logits = torch.randn(batch, length, 2, len(levels) * POINTS, generator=generator, dtype=torch.float64)
    return values, scattered((batch, length, 2, len(levels), POINTS, 2), reach, step, generator), logits


@given(batch=st.integers(1, 3), size=sizes, reach=reaches, step=steps, seed=seeds)
def test_a_deformable_convolution_of_gathers_is_the_standard_one(
    batch: int, size: tuple[int, int], reach: float, step: float, seed: int
) -> None:
    inputs = taps(batch, size, reach, step, seed)
    torch.testing.assert_close(GatherDeformConv()(*inputs), DeformConv2d()(*inputs), rtol=0, atol=1e-9)


@given(batch=st.integers(1, 3), levels=st.lists(sizes, min_size=1, max_size=3), reach=reaches, step=steps, seed=seeds)
def test_deformable_attention_of_gathers_is_the_standard_one(
    batch: int, levels: list[tuple[int, int]], reach: float, step: float, seed: int
) -> None:
    inputs = points(batch, levels, reach, step, seed)
    expected = DeformableSampling()(*inputs, levels)
    torch.testing.assert_close(GatherSampling()(*inputs, levels), expected, rtol=0, atol=1e-9)


@given(seed=seeds, wild=st.sampled_from([float("nan"), float("inf"), -float("inf"), 3e38, -3e38]))
def test_whatever_the_offsets_no_index_is_outside_and_other_samples_stay(seed: int, wild: float) -> None:
    data, offsets, mask, weight, bias = taps(2, (4, 5), 2.0, 0.0, seed)
    struck = torch.rand(offsets.shape, generator=torch.Generator().manual_seed(seed)) < 0.1
    found = GatherDeformConv()(data, offsets.masked_fill(struck, wild), mask, weight, bias)
    left_out = mask.masked_fill(struck[:, 0::2] | struck[:, 1::2], 0)
    torch.testing.assert_close(found, DeformConv2d()(data, offsets, left_out, weight, bias), rtol=0, atol=1e-9)


@pytest.mark.parametrize("runner", ["onnxruntime", "openvino"])
def test_backends_survive_wild_offsets_too(runner: str) -> None:
    inputs = [x.float() for x in taps(2, (4, 5), 2.0, 0.0, 0)]
    for index, wild in enumerate((float("nan"), float("inf"), -float("inf"), 3e38, -3e38)):
        inputs[1].flatten()[index::97] = wild
    program = torch.onnx.export(
        GatherDeformConv().eval(), tuple(inputs), dynamo=True, opset_version=tracing.OPSET, input_names=list("domwb")
    )
    assert program is not None
    found = run(program.model_proto, dict(zip("domwb", (x.numpy() for x in inputs), strict=True)), runner)[0]
    np.testing.assert_allclose(found, GatherDeformConv()(*inputs).numpy(), rtol=0, atol=1e-5)


def run(proto: onnx.ModelProto, inputs: dict[str, NDArray[Any]], runner: str) -> list[NDArray[Any]]:
    if runner == "onnxruntime":
        session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
        return list(session.run(None, inputs))
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    from pem_edge.runtime.backends.openvino import core

    compiled = core().compile_model(core().read_model(proto.SerializeToString()), "CPU", EXACT)
    return list(compiled(inputs).values())


EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
VARYING = InputSpec(
    height=64,
    width=96,
    dynamic_batch=Range(1, 1, 3),
    dynamic_height=Range(32, 64, 128),
    dynamic_width=Range(32, 96, 128),
)
SPECS = {"fixed": InputSpec(height=64, width=96, batch=2), "varying": VARYING}
BATCHES = {"fixed": [(2, 64, 96)], "varying": [(1, 32, 32), (3, 32, 128), (2, 96, 64)]}
MODELS = {variant.name: variant for variant in (TINY, TINY_MASK2FORMER)}
FORBIDDEN = {"GridSample", "DeformConv", "ScatterND", "NonZero", "Loop", "If"}


@cache
def module(variant: str) -> pem.MaskClassifier:
    return randomized(MODELS[variant].build(num_classes=5))


@cache
def traced(variant: str, spec: str, precision: Precision = "fp32") -> onnx.ModelProto:
    prepared = prepare(module(variant), Forms(deform_conv="gather", precision=precision))
    return tracing.to_onnx(prepared, tracing.example_for(SPECS[spec]), dynamic=tracing.dynamic_dims(SPECS[spec]))


EACH = [(variant, spec) for variant in MODELS for spec in SPECS]


@pytest.mark.parametrize(("variant", "spec"), mostly(EACH, EACH[:3]))  # the last takes minutes to trace
def test_every_slot_of_a_batch_is_what_the_image_gives_alone_at_every_size(variant: str, spec: str) -> None:
    for shape in BATCHES[spec]:
        images = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
        alone = [module(variant)(torch.from_numpy(image[None])) for image in images]
        for runner in ("onnxruntime", "openvino"):
            for ours, *each in zip(run(traced(variant, spec), {"image": images}, runner), *alone, strict=True):
                expected = torch.cat(each).detach().numpy()
                np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("variant", MODELS)
def test_a_graph_of_gathers_has_nothing_that_engines_get_wrong(variant: str, precision: Precision) -> None:
    operators = Counter(node.op_type for node in traced(variant, "fixed", precision).graph.node)
    assert not FORBIDDEN & set(operators)
    assert operators["Gather"] >= 12


@pytest.mark.parametrize("variant", MODELS)
def test_in_half_only_coordinates_and_weights_of_corners_are_in_single(variant: str) -> None:
    proto = onnx.shape_inference.infer_shapes(traced(variant, "fixed", "fp16"))
    types = {value.name: value.type.tensor_type.elem_type for value in proto.graph.value_info}
    nodes = [node for node in proto.graph.node if ".operator" in node.name and node.op_type in ("Mul", "Ceil")]
    inside = {types[node.output[0]] for node in nodes if ".corners/" in node.name}
    outside = {types[node.output[0]] for node in nodes if ".corners/" not in node.name}
    assert inside == {onnx.TensorProto.FLOAT, onnx.TensorProto.INT32}
    assert outside == {onnx.TensorProto.FLOAT16}


@pytest.mark.parametrize(
    ("published", "inputs", "operator"),
    [
        (ModulatedDeformConv(3, 2), lambda: taps(1, (4, 5), 1.0, 0.0, 0)[:3], GatherDeformConv),
        (DeformableAttention(8, 2, 1), lambda: (torch.randn(1, 6, 8), torch.randn(1, 6, 8), [(2, 3)]), GatherSampling),
    ],
    ids=["convolution", "attention"],
)
def test_a_rewritten_module_runs_and_computes_the_same(
    published: nn.Module, inputs: Callable[[], tuple[Any, ...]], operator: type[nn.Module]
) -> None:
    arguments = [x.double() if isinstance(x, Tensor) else x for x in inputs()]
    expected = published.double()(*arguments)
    use_gathers(published)
    assert isinstance(published.operator, operator)
    torch.testing.assert_close(published(*arguments), expected, rtol=0, atol=1e-9)
