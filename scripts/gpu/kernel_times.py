"""How fast the plugin is on PEM's shapes, beside other implementations and beside the roofline."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import torch

from reference.deform_conv_cases import Case, make
from scripts.gpu.enqueue import FLOAT, HALF_HWC8, PEM_SIZES, WIDTH, Call, Form, Row, attributes_of
from scripts.gpu.harness import Plugin

CALLS, REPLAYS = 20, 50


def measure(library: Path) -> Row:
    """Return median milliseconds of PEM's shapes at 1024x2048.

    CUDA events time replays of a CUDA graph of 20 calls.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    bandwidth = _bandwidth()
    rates = {form: _matmul_rate(form.dtype) for form in (HALF_HWC8, FLOAT)}
    rows = [_times(library, size, form, bandwidth, rates[form]) for form in rates for size in PEM_SIZES]
    return {
        "copy GB/s": bandwidth / 1e9,
        "matmul float16 TFLOP/s": rates[HALF_HWC8] / 1e12,
        "matmul float32 TFLOP/s": rates[FLOAT] / 1e12,
        "onnxruntime": "times by the host's clock, 50 calls in a row",
        "times": rows,
    }


def _times(library: Path, size: tuple[int, int], form: Form, bandwidth: float, rate: float) -> Row:
    case = make(np.random.default_rng(1), channels=WIDTH, out_channels=WIDTH, size=size).astype(form.dtype)
    with Plugin(library, attributes_of(case)) as plugin:
        call = Call(plugin, case, form, "cuda")
        fused = graph_milliseconds(call)
    torchvision, onnxruntime = _torchvision(case), _onnxruntime(case)
    moved = (sum(array.nbytes for array in case.inputs) + case.x.nbytes) / bandwidth
    computed = 2 * case.offset[0, 0].size * case.weight.size / rate
    roofline = max(moved, computed) * 1e3
    return {
        "size": f"{size[0]}x{size[1]}",
        "form": form.name,
        "plugin ms": fused,
        "torchvision ms": torchvision,
        "onnxruntime ms": onnxruntime,
        "roofline ms": roofline,
        "times torchvision": torchvision / fused if isinstance(torchvision, float) else "-",
        "of the roofline": roofline / fused,
    }


def graph_milliseconds(call: Callable[[], object], calls: int = CALLS) -> float:
    """Return median milliseconds of a call in a CUDA graph of ``calls``, without the cost of launches from Python."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(max(calls, 3)):
            call()
    side.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(calls):
            call()
    graph.replay()
    times = []
    for _ in range(REPLAYS):
        start, end = _event(), _event()
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / calls)
    return float(statistics.median(times))


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def _torchvision(case: Case) -> float | str:
    try:
        deform_conv2d = import_module("torchvision.ops").deform_conv2d
    except ModuleNotFoundError:
        return "not installed"
    x, weight, offset, bias, mask = (torch.from_numpy(array).cuda() for array in case.inputs)
    return graph_milliseconds(
        lambda: deform_conv2d(x, offset, weight, bias, case.strides, case.pads[:2], case.dilations, mask)
    )


def _onnxruntime(case: Case) -> float | str:
    try:
        ort, onnx = import_module("onnxruntime"), import_module("onnx")
    except ModuleNotFoundError as missing:
        return f"{missing.name} not installed"
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return "without CUDA"
    names = ["x", "weight", "offset", "bias", "mask"]
    node = onnx.helper.make_node(
        "DeformConv", names, ["y"], kernel_shape=case.kernel_shape, pads=case.pads, strides=case.strides
    )
    kind = onnx.helper.np_dtype_to_tensor_dtype(case.x.dtype)
    shapes = [*(array.shape for array in case.inputs), case.output_shape]
    infos = [onnx.helper.make_tensor_value_info(n, kind, s) for n, s in zip([*names, "y"], shapes, strict=True)]
    graph = onnx.helper.make_graph([node], "one", infos[:-1], infos[-1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)], ir_version=9)
    try:
        session = ort.InferenceSession(model.SerializeToString(), providers=["CUDAExecutionProvider"])
    except Exception as error:  # before 1.25 it has no DeformConv
        return f"cannot: {str(error).splitlines()[0][:80]}"
    binding = session.io_binding()
    for name, array in zip(names, case.inputs, strict=True):
        binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array, "cuda", 0))
    binding.bind_output("y", "cuda")
    return _host_milliseconds(lambda: session.run_with_iobinding(binding))


def _host_milliseconds(call: Callable[[], object]) -> float:
    for _ in range(CALLS):
        call()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(REPLAYS):
        call()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) * 1e3 / REPLAYS


def _bandwidth() -> float:
    """Return bytes a second, read and written, of a copy of 512 MiB."""
    source = torch.empty(2**29, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.numel() / (graph_milliseconds(lambda: target.copy_(source)) / 1e3)


def _matmul_rate(dtype: type[np.floating]) -> float:
    """Return the floating-point operations per second of a product of matrices of 4096."""
    a = torch.randn(4096, 4096, device="cuda", dtype=torch.float16 if dtype is np.float16 else torch.float32)
    return 2 * 4096**3 / (graph_milliseconds(lambda: a @ a) / 1e3)
