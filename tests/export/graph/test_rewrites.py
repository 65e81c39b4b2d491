"""Each rewrite before tracing computes the same, and leaves the model it was given alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from torch import Tensor, nn

from pem_edge import pem
from pem_edge.export.graph import tracing
from pem_edge.export.graph.operation_forms import Deformable, DeformConvForm, Forms, Target, resolve
from pem_edge.export.graph.rewrites import (
    fold_batchnorm,
    prepare,
    use_deform_conv_node,
    use_nvidia_attention,
)
from pem_edge.export.graph.rewrites.deformable_attention import NVIDIA_DOMAIN, NVIDIA_OPERATOR
from pem_edge.export.graph.rewrites.upsample import PhaseUpsample
from pem_edge.pem.layers.deformable_attention import DeformableAttention
from pem_edge.pem.pixel_decoders.pem import DeformableLevel
from reference.weights import randomized

Array = NDArray[Any]


@pytest.fixture(scope="module")
def nano() -> pem.MaskClassifier:
    return randomized(pem.build("pem-nano", num_classes=5))


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def assert_same_outputs(ours: nn.Module, expected: nn.Module, image: Tensor) -> None:
    with torch.inference_mode():
        for a, b in zip(ours(image), expected(image), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_folding_batchnorm_changes_nothing_and_leaves_none_behind_a_convolution(
    nano: pem.MaskClassifier, image: Tensor
) -> None:
    folded = prepare(nano, Forms(upsample="transposed"))
    assert_same_outputs(folded, nano, image)
    left = [name for name, module in folded.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert left
    assert all(name.endswith("memory_bn") for name in left), "only those before a convolution stay"


def test_folding_twice_is_folding_once(nano: pem.MaskClassifier, image: Tensor) -> None:
    once = prepare(nano, Forms())
    twice = prepare(nano, Forms())
    fold_batchnorm(twice)
    assert_same_outputs(twice, once, image)


def test_upsampling_by_phases_changes_nothing_and_leaves_no_transposed_convolution(
    nano: pem.MaskClassifier, image: Tensor
) -> None:
    rewritten = prepare(nano, Forms(upsample="phases"))
    assert_same_outputs(rewritten, nano, image)
    assert not any(isinstance(module, nn.ConvTranspose2d) for module in rewritten.modules())


@given(
    channels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    batch=st.integers(1, 2),
    bias=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_phases_are_the_transposed_convolution(
    channels: tuple[int, int], size: tuple[int, int], batch: int, bias: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    transposed = nn.ConvTranspose2d(*channels, 4, stride=2, padding=1, bias=bias).double()
    data = torch.randn(batch, channels[0], *size, dtype=torch.float64)
    torch.testing.assert_close(PhaseUpsample(transposed)(data), transposed(data).relu(), rtol=0, atol=1e-12)


def test_native_and_standard_deformable_convolution_agree(tmp_path: Path) -> None:
    class Level(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.level = randomized(DeformableLevel(8))
            self.level.offsets.weight.data.mul_(3)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.level(x)  # type: ignore[no-any-return]

    level, data = Level(), torch.randn(2, 8, 9, 13)
    expected = level(data)
    use_deform_conv_node(level, "native")
    proto = tracing.to_onnx(level, data)
    assert "DeformConv" in {node.op_type for node in proto.graph.node}
    onnx.save(proto, tmp_path / "level.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "level.onnx", providers=["CPUExecutionProvider"])
    for ours, theirs in zip(session.run(None, {"image": data.numpy()}), expected, strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=0, atol=1e-3)


def test_the_model_given_is_left_alone(nano: pem.MaskClassifier) -> None:
    before = {name: tensor.clone() for name, tensor in nano.state_dict().items()}
    prepare(nano, Forms(deform_conv="native"))
    assert list(before) == list(nano.state_dict())
    for name, tensor in nano.state_dict().items():
        assert torch.equal(before[name], tensor), name


@pytest.mark.parametrize("target", ["onnx", "trt", "trt-rtx"])
@pytest.mark.parametrize("deformable", ["convolution", "attention"])
@pytest.mark.parametrize("plugin", [False, True])
def test_a_choice_is_kept(target: Target, deformable: Deformable, plugin: bool) -> None:
    forms: tuple[DeformConvForm, ...] = ("standard", "gather", "native", "plugin")
    for form in forms:
        expected = "nvidia" if deformable == "attention" and form in ("native", "plugin") else form
        assert resolve(target, form, plugin=plugin, deformable=deformable).deform_conv == expected
    assert resolve(target, upsample="transposed").upsample == "transposed"


@pytest.mark.parametrize(
    ("target", "deformable", "plugin", "expected"),
    [
        ("onnx", "convolution", False, "native"),
        ("onnx", "attention", False, "standard"),
        ("trt-rtx", "convolution", False, "gather"),
        ("trt-rtx", "attention", False, "gather"),
        ("trt-rtx", "convolution", True, "gather"),
        ("trt", "convolution", False, "gather"),
        ("trt", "convolution", True, "plugin"),
        ("trt", "attention", False, "nvidia"),
        ("trt", "attention", True, "nvidia"),
        ("trt", None, True, "standard"),
        ("trt-rtx", None, False, "standard"),
    ],
)
def test_auto_is_the_form_that_serves_the_target(
    target: Target, deformable: Deformable | None, plugin: bool, expected: DeformConvForm
) -> None:
    """No engine gets GridSample unless it is asked for; plugins serve TensorRT alone, ours where it is built."""
    assert resolve(target, deformable=deformable, plugin=plugin).deform_conv == expected


@pytest.mark.parametrize(
    ("native", "for_engine", "expected"),
    [(True, False, "native"), (False, False, "standard"), (True, True, "gather"), (False, True, "gather")],
)
def test_auto_for_onnx_is_what_can_be_proved_here_and_built_elsewhere(
    native: bool, for_engine: bool, expected: DeformConvForm
) -> None:
    assert resolve("onnx", native=native, for_engine=for_engine).deform_conv == expected
    assert resolve("onnx", "native", native=native, for_engine=for_engine).deform_conv == "native"
    attention = resolve("onnx", deformable="attention", native=native, for_engine=for_engine).deform_conv
    assert attention == ("gather" if for_engine else "standard")


class NvidiaNode(OpRun):
    """NVIDIA's plugin by its documentation: values at places from 0 to 1 over a map's outer edges, weighed."""

    op_domain = NVIDIA_DOMAIN

    def _run(self, values: Array, shapes: Array, starts: Array, places: Array, weights: Array) -> tuple[Array]:
        n, length, heads, levels, points, _ = places.shape
        output = np.zeros((n, length, heads, values.shape[3]))
        for image, query, head, level, point in np.ndindex(n, length, heads, levels, points):
            (height, width), start = shapes[level], starts[level]
            x, y = places[image, query, head, level, point] * (width, height) - 0.5
            for row, column in ((int(np.floor(y)) + i, int(np.floor(x)) + j) for i in (0, 1) for j in (0, 1)):
                if 0 <= row < height and 0 <= column < width:
                    share = (1 - abs(y - row)) * (1 - abs(x - column)) * weights[image, query, head, level, point]
                    output[image, query, head] += share * values[image, start + row * width + column, head]
        return (output.astype(values.dtype),)


NvidiaNode.__name__ = NVIDIA_OPERATOR


class Attending(nn.Module):
    def __init__(self, attention: DeformableAttention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        attended: Tensor = self.attention(tokens, positions, [(2, 3), (4, 6)])
        return attended


def test_nvidia_s_node_gets_what_the_sampling_it_stands_for_gets() -> None:
    module = Attending(randomized(DeformableAttention(width=16, heads=2, levels=2))).eval()
    inputs = torch.randn(2, 30, 16), torch.randn(1, 30, 16)
    expected = module(*inputs).detach().numpy()
    use_nvidia_attention(module)
    program = torch.onnx.export(module, inputs, dynamo=True, opset_version=tracing.OPSET, input_names=["x", "p"])
    assert program is not None
    evaluator: Any = ReferenceEvaluator(program.model_proto, new_ops=[NvidiaNode])
    found = evaluator.run(None, dict(zip(("x", "p"), (x.numpy() for x in inputs), strict=True)))[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
