"""Whole networks in PyTorch with the plugin's kernels as an operator, beside the published formulation; no TensorRT."""

from __future__ import annotations

import copy
import ctypes
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pem_edge import pem
from pem_edge.export.graph.rewrites.batchnorm import fold_batchnorm
from pem_edge.export.graph.rewrites.deform_conv import PluginDeformConv
from pem_edge.export.graph.rewrites.half import compute_in_half
from pem_edge.pem.layers.deform_conv import DeformConv2d, ModulatedDeformConv
from reference.published_form import ReferenceForm
from reference.weights import randomized
from scripts.gpu.kernel_times import graph_milliseconds

Row = dict[str, Any]
CLASSES = 19
SIZES = ((1024, 2048), (512, 1024))
VARIANTS = ("pem-stdc1", "pem-stdc2", "pem-r50")
WORKSPACE = 64 << 20


class Case(NamedTuple):
    """One network to run: ``form`` is "plugin", "published" (BatchNorm kept, torchvision's operator) or "standard"."""

    variant: str
    size: tuple[int, int]
    half: bool
    form: str
    tf32: bool = False
    compiled: bool = False


def run(library: Path, remaining: Callable[[], float]) -> Iterator[Row]:
    """Yield a row for each network, until ``remaining`` says that no seconds are left.

    Rows hold the time in a CUDA graph and the difference from the published formulation in float32. ``library`` is the
    compiled harness.
    """
    operators: dict[str, Callable[[], nn.Module]] = {
        "plugin": lambda: PluginKernels(library),
        "published": Torchvision,
        "standard": DeformConv2d,
    }
    for case in _cases():
        if remaining() < 0:
            yield {"variant": case.variant, "failed": "no time was left"}
            return
        yield measure(case, operators[case.form], "cuda")
        torch.cuda.empty_cache()


def _cases() -> Iterator[Case]:
    for half in (True, False):
        for variant in VARIANTS:
            yield from (Case(variant, SIZES[0], half, form) for form in ("plugin", "published", "standard"))
    yield from (
        Case(variant, SIZES[0], False, form, tf32=True) for variant in VARIANTS for form in ("plugin", "published")
    )
    yield from (Case(variant, SIZES[1], True, form) for variant in VARIANTS for form in ("plugin", "published"))
    yield from (Case(variant, SIZES[0], True, "published", compiled=True) for variant in VARIANTS)


def measure(case: Case, operator: Callable[[], nn.Module], device: str) -> Row:
    """Return what `run` says of one network; on a CPU, without the time."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (1, *case.size, 3), dtype=torch.uint8, generator=generator).to(device)
    row: Row = {**case._asdict(), "size": "x".join(map(str, case.size))}
    try:
        with torch.inference_mode():
            expected = _expected(case.variant, case.size, device)
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = case.tf32
            torch.backends.cudnn.benchmark = True
            network = _network(case, operator, device)
            start = time.perf_counter()
            found = [each.float() for each in network(images)]
            row["first call s"] = time.perf_counter() - start
            row |= _differences(found, expected)
            row["ms"] = graph_milliseconds(lambda: network(images), calls=1) if device == "cuda" else None
    except Exception as error:  # one network must not take the others with it
        row["failed"] = f"{type(error).__name__}: {str(error)[:300]}"
    return row


def _network(case: Case, operator: Callable[[], nn.Module], device: str) -> nn.Module:
    model = copy.deepcopy(_weighted(case.variant))
    if case.form != "published":
        fold_batchnorm(model)
    convolutions = [each for each in model.modules() if isinstance(each, ModulatedDeformConv)]
    for convolution in convolutions:
        convolution.operator = operator()
    if case.half:
        compute_in_half(model)
    model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for convolution in convolutions:
        convolution.weight.data = convolution.weight.data.contiguous()
    network = ReferenceForm(model).eval() if case.form == "published" else model
    return torch.compile(network, dynamic=False) if case.compiled else network  # type: ignore[return-value]


@cache
def _weighted(variant: str) -> pem.PEM:
    return randomized(pem.build(variant, num_classes=CLASSES))


@cache
def _expected(variant: str, size: tuple[int, int], device: str) -> list[Tensor]:
    images = torch.randint(0, 256, (1, *size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return [
        each.float() for each in ReferenceForm(copy.deepcopy(_weighted(variant))).eval().to(device)(images.to(device))
    ]


def _differences(found: list[Tensor], expected: list[Tensor]) -> Row:
    return {
        "largest difference of logits": float((found[0] - expected[0]).abs().max()),
        "same classes": float((found[0].argmax(-1) == expected[0].argmax(-1)).float().mean()),
        "same mask signs": float(((found[1] >= 0) == (expected[1] >= 0)).float().mean()),
    }


class Torchvision(nn.Module):
    """torchvision's operator, in place of detectron2's."""

    def forward(self, data: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        from torchvision.ops import deform_conv2d  # type: ignore[import-not-found]

        result: Tensor = deform_conv2d(data, offsets, weight, bias, padding=(1, 1), mask=mask)
        return result


class PluginKernels(PluginDeformConv):  # a kind of it, so that `compute_in_half` leaves its data in half
    """The kernels of the TensorRT plugin, called through `enqueue` on PyTorch's stream."""

    def __init__(self, library: Path | None) -> None:
        super().__init__()
        self._harness = ctypes.CDLL(str(library))
        self._harness.harness_create.restype = ctypes.c_void_p
        attributes = (ctypes.c_int32 * 12)(3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
        self._plugin = ctypes.c_void_p(self._harness.harness_create(attributes))
        self._workspace = torch.empty(WORKSPACE, dtype=torch.uint8, device="cuda")

    def forward(self, data: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """See `pem_edge.pem.layers.deform_conv.DeformConv2d.forward`."""
        half = data.dtype == torch.float16
        layout = torch.channels_last if half else torch.contiguous_format
        bias = weight.new_zeros(weight.shape[0]) if bias is None else bias
        data, weight = data.contiguous(memory_format=layout), weight.contiguous()
        offsets, mask = offsets.contiguous(), mask.contiguous()
        shape = (data.shape[0], weight.shape[0], *data.shape[2:])
        output = torch.empty(shape, dtype=data.dtype, device=data.device, memory_format=layout)
        sizes = (ctypes.c_int64 * 21)(
            *data.shape, *weight.shape, *offsets.shape, *bias.shape, *mask.shape, *output.shape
        )
        pointers = (ctypes.c_void_p * 6)(*(each.data_ptr() for each in (data, weight, offsets, bias, mask, output)))
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        workspace = ctypes.c_void_p(self._workspace.data_ptr())
        if self._harness.harness_enqueue(self._plugin, sizes, int(half), int(half), pointers, workspace, stream):
            raise RuntimeError("the plugin refused the call; its reason is on standard error")
        return output
