"""The plugin's kernels through `enqueue`, without TensorRT: are they right, and how fast beside torchvision's?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray

from reference.deform_conv_cases import Case, make, reference
from scripts.gpu.bench import Bench
from scripts.gpu.devices.device import Device
from scripts.gpu.enqueue import FLOAT, HALF, HALF_HWC8, PEM_SIZES, WIDTH, Call, Form, attributes_of
from scripts.gpu.harness import Plugin
from scripts.gpu.kernel_cases import CASES, LIMITS
from scripts.gpu.tasks import Row, Task

Size = tuple[int, int]
DRY_CASES = ("groups", "offset groups", "strides, pads, dilations")
DRY_SIZES: tuple[Size, ...] = ((4, 8),)


def tasks(bench: Bench) -> Iterator[Task]:
    """Yield a task for each case and form, and for each of PEM's shapes at 1024x2048."""
    dry, rates = bench.device.dry, Rates(bench.device)
    for form in (HALF_HWC8, FLOAT):
        for size in DRY_SIZES if dry else PEM_SIZES:
            key = {"size": f"{size[0]}x{size[1]}", "form": form.name}
            yield Task("times", key, 5, partial(_times, bench, size, form, rates))
    for name in DRY_CASES if dry else CASES:
        for form in (FLOAT, HALF, HALF_HWC8):
            yield Task("errors", {"case": name, "form": form.name}, 2, partial(_errors, bench, name, form))


def _errors(bench: Bench, name: str, form: Form) -> Row:
    """Return the largest error against double precision on the CPU, in parts of the largest result."""
    rng = np.random.default_rng(0)
    cases = [make(rng, **settings).astype(form.dtype) for settings in CASES[name]]
    with Plugin(bench.harness, attributes_of(cases[0])) as plugin:
        error = max(_error(plugin, case, form, bench.device) for case in cases)
    limit = LIMITS[np.dtype(form.dtype).name]
    row: Row = {"error": error, "limit": limit}
    return row if error <= limit else {**row, "failed": f"error {error:.2g}, expected {limit} or less"}


def _error(plugin: Plugin, case: Case, form: Form, device: Device) -> float:
    call = Call(plugin, case, form, device.name)
    call()
    expected = reference(case)
    error = float(np.abs(call.result() - expected).max() / np.abs(expected).max())
    return error if np.isfinite(error) else float("inf")


def _times(bench: Bench, size: Size, form: Form, rates: Rates) -> Row:
    """Return milliseconds of ours and of torchvision's, which leaves sigmoid and ReLU to others, and the roofline's."""
    device, width = bench.device, 8 if bench.device.dry else WIDTH
    case = make(np.random.default_rng(1), channels=width, out_channels=width, size=size, relu=True).astype(form.dtype)
    with Plugin(bench.harness, attributes_of(case)) as plugin:
        call = Call(plugin, case, form, device.name)
        warm, cold = device.warm(call), device.cold(call)
    theirs, name = Theirs(case, device), device.operator
    row: Row = {
        "ms": warm,
        "ms, cold": cold,
        f"{name} ms": device.warm(theirs.convolve),
        f"{name} ms, cold": device.cold(theirs.convolve),
        "with sigmoid and ReLU, ms": device.warm(theirs.whole),
        "roofline ms": rates.least_milliseconds(case),
    }
    row[f"times {name}"] = row[f"{name} ms"] / warm
    row[f"times {name}, cold"] = row[f"{name} ms, cold"] / max(cold, 1e-9)
    return {**row, "of the roofline": row["roofline ms"] / warm}


class Theirs:
    """The operator that the published code would call, on a case of ours, stride 1 and padding 1."""

    def __init__(self, case: Case, device: Device) -> None:
        self._device = device
        self._x, self._weight, self._raw, self._bias = (
            torch.from_numpy(np.ascontiguousarray(array)).to(device.name)
            for array in (case.x, case.weight, case.raw, case.bias)
        )
        self._offsets, logits = (each.contiguous() for each in torch.split(self._raw, [18, 9], dim=1))
        self._mask = logits.sigmoid()

    def convolve(self) -> torch.Tensor:
        """Return the convolution alone."""
        return self._device.deform_conv(self._x, self._offsets, self._mask, self._weight, self._bias)

    def whole(self) -> torch.Tensor:
        """Return all that our kernel computes."""
        offsets, logits = torch.split(self._raw, [18, 9], dim=1)
        return self._device.deform_conv(self._x, offsets, logits.sigmoid(), self._weight, self._bias).relu()


class Rates:
    """What the device can move and multiply, measured on first use."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._multiplied: dict[str, float] = {}

    def least_milliseconds(self, case: Case) -> float:
        """Return how long the inputs, the output and the products of a case take at least."""
        values = sum(array.size for array in case.plugin_inputs) + case.x.size
        moved = values * case.x.itemsize / self._moved
        computed = 2 * case.offset[0, 0].size * case.weight.size / self._products(case.x)
        return 1000 * float(max(moved, computed))

    @cached_property
    def _moved(self) -> float:
        """Bytes a second, read and written, of a copy that no cache holds."""
        source = torch.empty(8 * self._device.cache_bytes, dtype=torch.uint8, device=self._device.name)
        target = torch.empty_like(source)
        return 2 * source.numel() / (self._device.warm(lambda: target.copy_(source)) / 1000)

    def _products(self, like: NDArray[np.floating]) -> float:
        """Return floating-point operations a second of a product of large matrices, without TF32."""
        if like.dtype.name not in self._multiplied:
            torch.backends.cuda.matmul.allow_tf32 = False
            side = 64 if self._device.dry else 4096
            dtype = getattr(torch, like.dtype.name)
            matrix = torch.randn(side, side, dtype=dtype, device=self._device.name)
            milliseconds = self._device.warm(lambda: matrix @ matrix)
            self._multiplied[like.dtype.name] = 2 * side**3 / (milliseconds / 1000)
        return self._multiplied[like.dtype.name]
