"""A GPU, by PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, SupportsInt

import numpy as np
import torch
from torch import Tensor

from pem_edge.export.engine import plugin_build
from scripts.gpu.devices.device import Call, Device


class CudaDevice(Device):
    """The current GPU; times are those of CUDA events around replays of CUDA graphs."""

    name: ClassVar[Literal["cuda", "cpu"]] = "cuda"
    dry = False
    compiler = "inductor"
    operator = "torchvision"
    calls, repetitions = 20, 50
    compile_seconds = 40

    def __init__(self) -> None:
        self.cache_bytes = int(torch.cuda.get_device_properties(0).L2_cache_size)

    def graph(self, call: Call) -> Call:
        """See `Device.graph`."""
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):  # what libraries choose or allocate on first use cannot be recorded
                call()
        side.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            call()
        return graph.replay

    def times(self, call: Call, count: int) -> list[float]:
        """See `Device.times`."""
        call()
        return [self._time(call) for _ in range(count)]

    def synchronize(self) -> None:
        """See `Device.synchronize`."""
        torch.cuda.synchronize()

    def stream(self) -> int:
        """See `Device.stream`."""
        return int(torch.cuda.current_stream().cuda_stream)

    def on_stream(self, stream: SupportsInt, call: Call) -> None:
        """See `Device.on_stream`."""
        with torch.cuda.stream(torch.cuda.ExternalStream(int(stream))):  # type: ignore[no-untyped-call]
            call()

    def at(self, address: int, shape: Sequence[int], dtype: type[np.generic]) -> Tensor:
        """See `Device.at`."""
        return torch.as_tensor(_Memory(address, shape, dtype), device="cuda")

    def compile_harness(self, headers: Path | None, folder: Path) -> Path:
        """See `Device.compile_harness`; nvcc, CMake and TensorRT's headers are needed."""
        if headers is None:
            raise RuntimeError("no TensorRT headers: give the folder of NvInfer.h with --tensorrt-include")
        return plugin_build.compile_library("enqueue_harness", plugin_build.find_headers(headers), None, folder)

    def deform_conv(self, data: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """See `Device.deform_conv`: torchvision's."""
        from torchvision.ops import deform_conv2d  # type: ignore[import-not-found]

        result: Tensor = deform_conv2d(data, offsets, weight, bias, padding=(1, 1), mask=mask)
        return result

    def compute_capability(self) -> str:
        """See `Device.compute_capability`."""
        return "{}.{}".format(*torch.cuda.get_device_capability())

    def _time(self, call: Call) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        call()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end))


class _Memory:
    """Memory on the GPU for those who read ``__cuda_array_interface__``."""

    def __init__(self, address: int, shape: Sequence[int], dtype: type[np.generic]) -> None:
        about = {"data": (address, False), "shape": tuple(shape), "typestr": np.dtype(dtype).str, "strides": None}
        self.__cuda_array_interface__ = {**about, "version": 2}
