"""The CPU in the place of a GPU: kernels compiled for the host, a simulated CUDA, PyTorch on the CPU."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, SupportsInt

import numpy as np
import torch
from torch import Tensor

from pem_edge.pem.layers.deform_conv import DeformConv2d
from pem_edge.runtime.backends.cuda.driver import HostView
from reference.cuda_simulation.cuda import Cuda
from reference.cuda_simulation.machine import Work
from reference.host_cuda.plugin.host_library import compile_for_host
from scripts.gpu.devices.device import Call, Device


class HostDevice(Device):
    """A stand-in for a GPU in this process. Its times are the CPU's, and mean nothing.

    Args:
        cache: The folder of what the process keeps from now on; simulated kernels must not be taken for real ones.
    """

    name: ClassVar[Literal["cuda", "cpu"]] = "cpu"
    dry = True
    compiler = "aot_eager"  # traces as a real compiler does, without the minutes that compiling takes
    operator = "formula"
    calls, repetitions = 2, 2
    compile_seconds = 10
    cache_bytes = 1 << 20

    def __init__(self, cache: Path) -> None:
        os.environ["XDG_CACHE_HOME"] = str(cache.resolve())
        self._machine = Cuda()
        sys.modules.update(self._machine.modules())
        self._formula = DeformConv2d()

    def graph(self, call: Call) -> Call:
        """See `Device.graph`; here nothing is recorded."""
        call()
        return call

    def times(self, call: Call, count: int) -> list[float]:
        """See `Device.times`."""
        return [self._time(call) for _ in range(count)]

    def synchronize(self) -> None:
        """See `Device.synchronize`."""
        self._machine.finish(self._machine.default)
        if self._machine.faults:
            raise RuntimeError(f"the simulated GPU reports: {'; '.join(self._machine.faults)}")

    def stream(self) -> int:
        """See `Device.stream`."""
        return int(self._machine.default)

    def on_stream(self, stream: SupportsInt, call: Call) -> None:
        """See `Device.on_stream`."""

        def run() -> None:
            call()

        with self._machine.exclusive():
            self._machine.enqueue(stream, Work(run))

    def at(self, address: int, shape: Sequence[int], dtype: type[np.generic]) -> Tensor:
        """See `Device.at`."""
        return torch.from_numpy(HostView(address, tuple(shape), dtype).array())

    def compile_harness(self, headers: Path | None, folder: Path) -> Path:
        """See `Device.compile_harness`; g++ is needed, and with TensorRT's headers the plugin is compiled, too."""
        return compile_for_host(folder, headers=None if headers is None else str(headers))

    def deform_conv(self, data: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """See `Device.deform_conv`: the module's own formula, in float32.

        In half, PyTorch's grid_sample on the CPU (2.13) reads what is not its own, if tensors are channels_last.
        """
        single = (None if each is None else each.float() for each in (data, offsets, mask, weight, bias))
        result: Tensor = self._formula(*single).to(data.dtype)
        return result

    def compute_capability(self) -> str:
        """See `Device.compute_capability`."""
        return "{}.{}".format(*self._machine.capabilities[0])

    def _time(self, call: Call) -> float:
        start = time.perf_counter()
        call()
        self.synchronize()
        return 1000 * (time.perf_counter() - start)
