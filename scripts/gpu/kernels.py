"""The plugin's kernels through `enqueue`, without TensorRT: are they right, and how fast are they?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pem_edge.export.engine.plugin_build import compile_library
from reference.deform_conv_cases import Case, make, reference
from scripts.gpu.harness import Plugin

Row = dict[str, Any]
WIDTH = 128  # PEM's channels
PEM_SIZES = ((32, 64), (64, 128), (128, 256))  # strides 32, 16 and 8 of 1024x2048
LIMITS = {"float32": 2e-5, "float16": 2e-2}  # largest error over largest result
GUARD = 1024  # values after the output that must stay as they are


class Form(NamedTuple):
    """A type and a layout of X and Y."""

    dtype: type[np.floating]
    hwc8: bool

    @property
    def name(self) -> str:
        return f"{np.dtype(self.dtype).name} {'kHWC8' if self.hwc8 else 'kLINEAR'}"


FLOAT, HALF, HALF_HWC8 = Form(np.float32, False), Form(np.float16, False), Form(np.float16, True)

CASES: dict[str, list[Row]] = {
    "PEM, stride 32": [{"channels": WIDTH, "out_channels": WIDTH, "size": PEM_SIZES[0]}],
    "PEM, stride 16": [{"channels": WIDTH, "out_channels": WIDTH, "size": PEM_SIZES[1]}],
    "PEM, stride 8": [{"channels": WIDTH, "out_channels": WIDTH, "size": PEM_SIZES[2]}],
    "pem-nano": [{"channels": 64, "out_channels": 64, "size": (64, 128)}],
    "odd sizes": [{"batch": 3, "channels": 37, "out_channels": 71, "size": (29, 43)}],
    "far outside": [{"channels": 24, "out_channels": 40, "size": (31, 33), "reach": 500.0}],
    "dynamic shapes": [
        {"batch": n, "channels": 32, "size": (h, w)} for n, h, w in ((1, 7, 9), (4, 64, 48), (2, 33, 1))
    ],
    "strides, pads, dilations": [
        {"size": (35, 50), "kernel": (3, 5), "strides": (2, 1), "pads": (0, 3, 2, 1), "dilations": (1, 3)}
    ],
    "groups": [{"channels": 24, "out_channels": 18, "size": (20, 30), "group": 3}],
    "offset groups": [{"channels": 24, "out_channels": 16, "size": (20, 30), "offset_group": 4}],
}


def run(tensorrt_include: Path) -> dict[str, object]:
    """Return errors of every case, and times of PEM's shapes; key "failed" if an error is beyond its limit.

    ``tensorrt_include`` is the folder of NvInfer.h; nvcc and CMake are needed. All of the GPU should be ours meanwhile.
    """
    with tempfile.TemporaryDirectory() as folder:
        library = compile_library("enqueue_harness", tensorrt_include, None, Path(folder))
        errors = check(library, "cuda")
        failed = [f"{row['case']}, {row['form']}" for row in errors if not row["right"]]
        return {
            "errors": errors,
            **({"failed": f"errors beyond the limit: {'; '.join(failed)}"} if failed else {}),
            **import_module("scripts.gpu.kernel_times").measure(library),
        }


def check(library: Path, device: str) -> list[Row]:
    """Return largest errors against double precision on the CPU, in parts of the largest result."""
    rng = np.random.default_rng(0)
    rows = []
    for name, settings in CASES.items():
        cases = [make(rng, **setting) for setting in settings]
        for form in (FLOAT, HALF, HALF_HWC8):
            error = max(_errors(library, [case.astype(form.dtype) for case in cases], form, device))
            limit = LIMITS[np.dtype(form.dtype).name]
            rows.append({"case": name, "form": form.name, "error": error, "limit": limit, "right": error <= limit})
    return rows


def _errors(library: Path, cases: list[Case], form: Form, device: str) -> Iterator[float]:
    with Plugin(library, cases[0]) as plugin:
        for case in cases:
            call = Call(plugin, case, form, device)
            call()
            expected = reference(case)
            error = float(np.abs(call.result() - expected).max() / np.abs(expected).max())
            yield error if np.isfinite(error) else float("inf")


class Call:
    """One enqueue with its buffers, which can be repeated."""

    def __init__(self, plugin: Plugin, case: Case, form: Form, device: str) -> None:
        self._plugin, self._case, self._form, self._device = plugin, case, form, device
        n, channels, height, width = case.output_shape
        padded = -(-channels // 8) * 8 if form.hwc8 else channels
        self._shape = (n, height, width, padded) if form.hwc8 else case.output_shape
        x = torch.from_numpy(case.x).to(device)
        inputs = [_hwc8(x) if form.hwc8 else x, *(torch.from_numpy(array).to(device) for array in case.inputs[1:])]
        output = torch.full((int(np.prod(self._shape)) + GUARD,), torch.nan, dtype=x.dtype, device=device)
        self._tensors = [*inputs, output]
        size = plugin.workspace(case, half=x.dtype == torch.float16, hwc8=form.hwc8)
        self._workspace = torch.empty(size, dtype=torch.uint8, device=device)

    def __call__(self) -> None:
        stream = torch.cuda.current_stream().cuda_stream if self._device == "cuda" else 0
        pointers = [tensor.data_ptr() for tensor in self._tensors]
        half = self._form.dtype is np.float16
        self._plugin.enqueue(self._case, pointers, self._workspace.data_ptr(), stream, half=half, hwc8=self._form.hwc8)

    def result(self) -> NDArray[np.float64]:
        """Return (N, C', OH, OW); NaN everywhere if anything was written past the output's end."""
        output = self._tensors[-1].double().cpu().numpy()
        if not np.isnan(output[-GUARD:]).all():
            return np.full(self._case.output_shape, np.nan)
        result = output[:-GUARD].reshape(self._shape)
        if self._form.hwc8:
            result = result[..., : self._case.output_shape[1]].transpose(0, 3, 1, 2)
        return np.asarray(result)


def _hwc8(x: torch.Tensor) -> torch.Tensor:
    """Return ``x`` in the layout kHWC8; the padding may hold anything."""
    padded = torch.nn.functional.pad(x, (0, 0, 0, 0, 0, -x.shape[1] % 8), value=torch.nan)
    return padded.permute(0, 2, 3, 1).contiguous()
