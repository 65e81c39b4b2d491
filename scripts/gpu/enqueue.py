"""Single calls of the plugin's `enqueue`, without TensorRT."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from reference.deform_conv_cases import Case
from scripts.gpu.harness import Attributes, Buffer, Plugin

Row = dict[str, Any]
WIDTH = 128  # PEM's channels
PEM_SIZES = ((32, 64), (64, 128), (128, 256))  # strides 32, 16 and 8 of 1024x2048
GUARD = 1024  # values after the output that must stay as they are


class Form(NamedTuple):
    """A type and a layout of X and Y."""

    dtype: type[np.floating]
    hwc8: bool

    @property
    def name(self) -> str:
        return f"{np.dtype(self.dtype).name} {'kHWC8' if self.hwc8 else 'kLINEAR'}"


FLOAT, HALF, HALF_HWC8 = Form(np.float32, False), Form(np.float16, False), Form(np.float16, True)


class Call:
    """One enqueue with its buffers, which can be repeated."""

    def __init__(self, plugin: Plugin, case: Case, form: Form, device: str) -> None:
        self._plugin, self._case, self._form, self._device = plugin, case, form, device
        n, channels, height, width = case.output_shape
        padded = -(-channels // 8) * 8 if form.hwc8 else channels
        self._shape = (n, height, width, padded) if form.hwc8 else case.output_shape
        inputs = [torch.from_numpy(array).to(device) for array in case.plugin_inputs]
        output = torch.full((int(np.prod(self._shape)) + GUARD,), torch.nan, dtype=inputs[0].dtype, device=device)
        self._tensors = [*(_hwc8(each) if form.hwc8 and each.ndim == 4 else each for each in inputs), output]
        shapes = [*(tuple(each.shape) for each in inputs), case.output_shape]
        self._buffers = [Buffer(tensor.data_ptr(), shape) for tensor, shape in zip(self._tensors, shapes, strict=True)]

    def __call__(self) -> None:
        stream = torch.cuda.current_stream().cuda_stream if self._device == "cuda" else 0
        self._plugin.enqueue(self._buffers, stream, half=self._form.dtype is np.float16, hwc8=self._form.hwc8)

    def result(self) -> NDArray[np.float64]:
        """Return (N, C', OH, OW); NaN everywhere if anything was written past the output's end."""
        output = self._tensors[-1].double().cpu().numpy()
        if not np.isnan(output[-GUARD:]).all():
            return np.full(self._case.output_shape, np.nan)
        result = output[:-GUARD].reshape(self._shape)
        if self._form.hwc8:
            result = result[..., : self._case.output_shape[1]].transpose(0, 3, 1, 2)
        return np.asarray(result)


def attributes_of(case: Case) -> Attributes:
    """Return the attributes of a plugin for ``case``."""
    return Attributes(
        case.kernel_shape, case.strides, case.pads, case.dilations, case.group, case.offset_group, case.relu
    )


def _hwc8(x: torch.Tensor) -> torch.Tensor:
    """Return ``x`` in the layout kHWC8; the padding may hold anything."""
    padded = torch.nn.functional.pad(x, (0, 0, 0, 0, 0, -x.shape[1] % 8), value=torch.nan)
    return padded.permute(0, 2, 3, 1).contiguous()
