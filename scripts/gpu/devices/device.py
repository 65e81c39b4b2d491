"""Where a check runs: on a GPU, or dry on the CPU with stand-ins. Sections know only this interface."""

from __future__ import annotations

import statistics
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Literal, SupportsInt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Call = Callable[[], object]


class Device(ABC):
    """Memory, streams and a clock.

    Attributes:
        name: What PyTorch calls it.
        dry: Whether times mean nothing, and sizes should be small.
        compiler: The backend of `torch.compile`.
        operator: What `deform_conv` calls.
        calls: How many calls are timed at once, so that the clock's own time does not matter.
        repetitions: How often a time is taken.
        compile_seconds: About how long `compile_harness` takes.
        cache_bytes: The size of the largest cache.
    """

    name: ClassVar[Literal["cuda", "cpu"]]
    dry: ClassVar[bool]
    compiler: ClassVar[str]
    operator: ClassVar[str]
    calls: ClassVar[int]
    repetitions: ClassVar[int]
    compile_seconds: ClassVar[float]
    cache_bytes: int

    def warm(self, call: Call) -> float:
        """Return the median milliseconds of a call that finds in the caches what the one before it left."""
        replay = self.graph(_repeated([call] * self.calls))
        return statistics.median(self.times(replay, self.repetitions)) / self.calls

    def cold(self, call: Call) -> float:
        """Return the median milliseconds of a call that finds nothing in the caches.

        A buffer larger than the largest cache is written before each; the time of that alone is subtracted.
        """
        buffer = torch.empty(2 * self.cache_bytes, dtype=torch.uint8, device=self.name)

        def flush() -> object:
            return buffer.fill_(1)

        both, alone = (self.warm(_repeated(each)) for each in ([flush, call], [flush]))
        return max(both - alone, 0.0)

    @abstractmethod
    def graph(self, call: Call) -> Call:
        """Return what does again all that ``call`` does on the device, in one CUDA graph."""

    @abstractmethod
    def times(self, call: Call, count: int) -> list[float]:
        """Return the milliseconds of each of ``count`` calls."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait for all that was begun."""

    @abstractmethod
    def stream(self) -> int:
        """Return the handle of PyTorch's current stream."""

    @abstractmethod
    def on_stream(self, stream: SupportsInt, call: Call) -> None:
        """Put on another library's stream what ``call`` does."""

    @abstractmethod
    def at(self, address: int, shape: Sequence[int], dtype: type[np.generic]) -> Tensor:
        """Return the memory at an address as a tensor, which does not own it."""

    @abstractmethod
    def compile_harness(self, headers: Path | None, folder: Path) -> Path:
        """Compile the plugin's kernels for calls without TensorRT, and return the library's path."""

    @abstractmethod
    def deform_conv(self, data: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the deformable convolution by the operator that the published code would call."""

    @abstractmethod
    def compute_capability(self) -> str:
        """Return the compute capability, such as "9.0"."""


def random_frame(size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Return an RGB image of noise, (H, W, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def _repeated(calls: Sequence[Call]) -> Call:
    def run() -> None:
        for call in calls:
            call()

    return run
