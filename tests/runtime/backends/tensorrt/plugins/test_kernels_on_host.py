"""The CUDA sources compute the right results on the CPU, too: indices, tiles, barriers and asynchronous copies."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from reference.deform_conv_cases import Array, Case, make, reference
from reference.host_cuda.plugin.host_library import Kernel, Layout, run
from tests.runtime.backends.tensorrt.plugins.strategies import cases

HALF = 2.0**-11
"""Relative rounding error of half precision."""

FLOAT = 2.0**-24
"""Relative rounding error of single precision."""


def onnxruntime_result(case: Case) -> Array:
    onnxruntime = pytest.importorskip("onnxruntime")
    attributes = {name: getattr(case, name) for name in ("kernel_shape", "strides", "pads", "dilations")}
    names = ["x", "weight", "offset", "bias", "mask"]
    node = helper.make_node("DeformConv", names, ["y"], **attributes, group=case.group, offset_group=case.offset_group)
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
        for name, array in zip(names, case.inputs, strict=True)
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, case.output_shape)
    graph = helper.make_graph([node], "one", values, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        pytest.skip(f"onnxruntime {onnxruntime.__version__} has no DeformConv")
    result: Array = session.run(None, dict(zip(names, case.inputs, strict=True)))[0]
    return np.maximum(result, 0) if case.relu else result


def assert_close(actual: Array, case: Case, *, per_product: float, result: float) -> None:
    """Check that errors are within a rounding error per product, and one of the result."""
    expected, bound = reference(case), reference(case.absolute())
    error = np.abs(actual.astype(np.float64) - expected)
    assert np.all(error <= per_product * bound + result * np.abs(expected) + 1e-7), (error - per_product * bound).max()


@given(case=cases())
def test_simple_kernel_agrees_with_onnxruntime(host: ctypes.CDLL, case: Case) -> None:
    expected = onnxruntime_result(case)
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(run(host, case, Kernel.SIMPLE), expected, rtol=0, atol=1e-5 * scale)


@given(case=cases(grouped=False), multiprocessors=st.sampled_from([1, 4, 1000]))
@settings(max_examples=50)
def test_fused_kernel_agrees_with_onnxruntime(host: ctypes.CDLL, case: Case, multiprocessors: int) -> None:
    expected = onnxruntime_result(case)
    scale = max(1.0, float(np.abs(expected).max()))
    actual = run(host, case, Kernel.FUSED, multiprocessors=multiprocessors)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * scale)


@given(case=cases(), layout=st.sampled_from([Layout.LINEAR, Layout.HWC8]))
def test_simple_kernel_in_half_rounds_only_the_result(host: ctypes.CDLL, case: Case, layout: Layout) -> None:
    case = case.astype(np.float16)
    assert_close(run(host, case, Kernel.SIMPLE, layout), case, per_product=64 * FLOAT, result=HALF)


@given(case=cases(grouped=False), multiprocessors=st.sampled_from([1, 4, 1000]))
@settings(max_examples=50)
def test_fused_kernel_in_half_rounds_samples_and_result(host: ctypes.CDLL, case: Case, multiprocessors: int) -> None:
    case = case.astype(np.float16)
    actual = run(host, case, Kernel.FUSED, Layout.HWC8, multiprocessors)
    assert_close(actual, case, per_product=HALF + 64 * FLOAT, result=HALF)


def blocks_of_last_launch(host: ctypes.CDLL) -> tuple[int, int]:
    blocks = (ctypes.c_uint * 2)()
    host.last_grid(blocks)
    return blocks[0], blocks[1]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("out_channels", [8, 64, 65, 136])
@pytest.mark.parametrize("pixels", [16, 32, 64, 128])
def test_every_tile(host: ctypes.CDLL, dtype: type[np.floating], out_channels: int, pixels: int) -> None:
    """Use each tile, which the number of multiprocessors decides, with sizes that are no multiples of the tile's."""
    case = make(np.random.default_rng(1), batch=2, channels=37, out_channels=out_channels, size=(17, 11)).astype(dtype)
    blocks = -(-2 * 17 * 11 // pixels), -(-out_channels // (64 if out_channels <= 64 else 128))
    multiprocessors = blocks[0] * blocks[1] * 4 // 7
    layout = Layout.HWC8 if dtype is np.float16 else Layout.LINEAR
    actual = run(host, case, Kernel.FUSED, layout, multiprocessors)
    assert blocks_of_last_launch(host) == blocks
    rounding = (HALF + 64 * FLOAT, HALF) if dtype is np.float16 else (64 * FLOAT, FLOAT)
    assert_close(actual, case, per_product=rounding[0], result=rounding[1])


@pytest.mark.parametrize(("dtype", "layout"), [(np.float16, Layout.HWC8), (np.float32, Layout.LINEAR)])
def test_gpus_with_less_shared_memory_take_a_larger_tile(
    host: ctypes.CDLL, dtype: type[np.floating], layout: Layout
) -> None:
    """Use the 64 KiB per block of compute capability 7.5."""
    case = make(np.random.default_rng(1), out_channels=128, size=(8, 16)).astype(dtype)
    run(host, case, Kernel.FUSED, layout, multiprocessors=100)
    assert blocks_of_last_launch(host) == (8, 1)
    run(host, case, Kernel.FUSED, layout, multiprocessors=100, shared_bytes=64 * 1024)
    assert blocks_of_last_launch(host) == (4, 1)


@pytest.mark.parametrize("layout", [Layout.LINEAR, Layout.HWC8])
@pytest.mark.parametrize("kernel", [Kernel.SIMPLE, Kernel.FUSED])
def test_samples_without_a_place_count_as_zero(host: ctypes.CDLL, kernel: Kernel, layout: Layout) -> None:
    """Use offsets that point outside the image, and an infinity inside that must not spread."""
    if (kernel, layout) == (Kernel.FUSED, Layout.LINEAR):
        dtype: type[np.floating] = np.float32
    else:
        dtype = np.float16
    case = make(np.random.default_rng(2)).astype(dtype)
    case.x[..., 0, 0] = np.inf
    case.offset[...] = np.resize(np.array([np.nan, np.inf, -np.inf, 60000, -60000], dtype), case.offset.shape)
    np.testing.assert_array_equal(
        run(host, case, kernel, layout), np.broadcast_to(case.bias[:, None, None], (1, 8, 5, 6))
    )


def test_positions_are_computed_in_float(host: ctypes.CDLL) -> None:
    """Use positions that half precision would round to multiples of 0.25 or 0.5."""
    case = make(np.random.default_rng(3), size=(1, 700), kernel=(1, 1), pads=(0, 0, 0, 0), channels=1, out_channels=1)
    case.x[...] = np.arange(700) % 2
    case.weight[...] = 1
    case.logits[...] = 50
    case.bias[...] = case.offset[...] = 0
    case.offset[:, 1] = 0.125
    actual = run(host, case.astype(np.float16), Kernel.FUSED, Layout.HWC8)
    np.testing.assert_allclose(actual[0, 0, 0, :699], np.where(np.arange(699) % 2, 0.875, 0.125), atol=1e-3)


@pytest.mark.parametrize(
    ("group", "offset_group", "dtype", "layout", "fused"),
    [
        (1, 1, np.float32, Layout.LINEAR, True),
        (1, 1, np.float16, Layout.HWC8, True),
        (1, 1, np.float16, Layout.LINEAR, False),
        (2, 1, np.float16, Layout.HWC8, False),
        (1, 2, np.float32, Layout.LINEAR, False),
    ],
)
def test_the_kernel_is_chosen_by_the_table(
    host: ctypes.CDLL, group: int, offset_group: int, dtype: type[np.floating], layout: Layout, fused: bool
) -> None:
    case = make(np.random.default_rng(4), group=group, offset_group=offset_group, size=(20, 20)).astype(dtype)
    actual = run(host, case, Kernel.CHOSEN, layout)
    np.testing.assert_array_equal(actual, run(host, case, Kernel.FUSED if fused else Kernel.SIMPLE, layout))
    blocks = blocks_of_last_launch(host)[0]
    run(host, case, Kernel.CHOSEN, layout)
    assert blocks_of_last_launch(host)[0] == blocks


def test_a_kernel_of_many_taps(host: ctypes.CDLL) -> None:
    wide = (1, 2**10)
    case = make(np.random.default_rng(5), size=wide, kernel=wide, pads=(0, 0, 0, 0), channels=1, out_channels=1)
    np.testing.assert_allclose(run(host, case), reference(case), rtol=0, atol=1e-3)


@pytest.mark.parametrize("logit", [-np.inf, -1e4, -20, -0.5, 0, 3, 1e4, np.inf])
@pytest.mark.parametrize("layout", [Layout.LINEAR, Layout.HWC8])
def test_the_mask_is_the_sigmoid_of_its_logits(host: ctypes.CDLL, layout: Layout, logit: float) -> None:
    """Sample ones in their places, so that every output is the mask."""
    dtype = np.float32 if layout is Layout.LINEAR else np.float16
    case = make(np.random.default_rng(7), kernel=(1, 1), pads=(0, 0, 0, 0), channels=1).astype(dtype)
    case.x[...] = case.weight[...] = 1
    case.bias[...] = case.offset[...] = 0
    case.logits[...] = logit
    actual = run(host, case, Kernel.FUSED, layout)
    np.testing.assert_allclose(actual, reference(case), rtol=HALF if dtype is np.float16 else 4 * FLOAT, atol=2.0**-24)


@pytest.mark.parametrize("kernel", [Kernel.SIMPLE, Kernel.FUSED])
def test_relu_lets_nan_through(host: ctypes.CDLL, kernel: Kernel) -> None:
    case = make(np.random.default_rng(8), relu=True)
    case.bias[0] = np.nan
    actual = run(host, case, kernel)
    assert np.isnan(actual[:, 0]).all()
    assert actual[:, 1:].min() == 0


def test_an_empty_batch_is_no_error(host: ctypes.CDLL) -> None:
    assert run(host, make(np.random.default_rng(5), batch=0)).shape == (0, 8, 5, 6)


def test_no_input_channels_leave_the_bias(host: ctypes.CDLL) -> None:
    case = make(np.random.default_rng(5), channels=0)
    np.testing.assert_array_equal(run(host, case), np.broadcast_to(case.bias[:, None, None], case.output_shape))


def test_half_of_the_host_is_numpys(host: ctypes.CDLL) -> None:
    """Compare the conversions of the host's stand-in for cuda_fp16.h with NumPy's, on which the other tests rely."""
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    floats = np.empty(halves.shape, np.float32)
    host.from_half(halves.ctypes, floats.ctypes, ctypes.c_int64(halves.size))
    np.testing.assert_array_equal(floats, halves.astype(np.float32))
    rng = np.random.default_rng(6)
    floats = (rng.standard_normal(100_000) * np.exp2(rng.integers(-28, 18, 100_000))).astype(np.float32)
    back = np.empty(floats.shape, np.float16)
    host.to_half(floats.ctypes, back.ctypes, ctypes.c_int64(floats.size))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(back, floats.astype(np.float16))
