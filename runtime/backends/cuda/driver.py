"""Wraps calls of CUDA, with errors of one line: the GPU and its memory.

``cuda-bindings`` is imported on the first call, because it is installed only along with TensorRT.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from itertools import accumulate
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pem_edge.runtime.errors import BackendError

_MIB = 1 << 20

_ALIGNMENT = 256
"""Alignment in bytes of arrays that share a block, as CUDA aligns blocks. The kernels' loads of `Taps` need 16."""


class CudaError(BackendError):
    """A CUDA call failed."""


def call(function: str, *arguments: object) -> Any:  # the type depends on the function
    """Call a function of CUDA's runtime or driver, and return its first result besides the error code.

    Args:
        function: The function's name, which begins with "cuda" for the runtime and with "cu" for the driver.
        *arguments: The function's arguments.

    Raises:
        CudaError: If the call fails.
        BackendError: If CUDA's Python bindings are not installed.
    """
    library = _library("runtime" if function.startswith("cuda") else "driver")
    error, *results = getattr(library, function)(*arguments)
    if int(error) != 0:
        _library("runtime").cudaGetLastError()  # otherwise other users of CUDA in this process would get the error
        raise CudaError(f"{function} failed with {error.name}: look at the GPU with nvidia-smi, then start again")
    return results[0] if results else None


def nvrtc(function: str, *arguments: object) -> list[Any]:  # the types depend on the function
    """Call a function of NVRTC, CUDA's runtime compiler, and return its results besides the error code.

    Raises:
        CudaError: If the call fails.
        BackendError: If NVRTC or CUDA's Python bindings are not installed.
    """
    library = _library("nvrtc")
    try:
        error, *results = getattr(library, function)(*arguments)
    except RuntimeError as missing:  # the bindings load the library on the first call
        raise BackendError(
            f"CUDA's runtime compiler, NVRTC, cannot be loaded ({' '.join(str(missing).split())[:200]}): install "
            "CUDA's toolkit, or pip install nvidia-cuda-nvrtc, for CUDA 12 nvidia-cuda-nvrtc-cu12"
        ) from missing
    if int(error) != 0:
        raise CudaError(f"{function} failed with {error.name}: install the NVRTC of a CUDA that knows this GPU")
    return list(results)


def constant(kind: str, name: str) -> object:
    """Return the member ``name`` of the enumeration ``kind`` of CUDA's runtime."""
    return getattr(getattr(_library("runtime"), kind), name)


class Gpu:
    """The GPU and the CUDA context that are current in the calling thread; the first GPU if there is no context.

    The current context is used so that arrays of pycuda, which creates a context of its own, can be read.

    Attributes:
        device: The GPU's index.
        name: The GPU's name, such as "Orin".
        major: The major compute capability, such as 8.
        compute_capability: The compute capability, such as "8.7".

    Raises:
        BackendError: If there is no GPU with a driver.
    """

    def __init__(self) -> None:
        _require_driver()
        call("cudaFree", 0)  # creates a context if there is none
        self._context = call("cuCtxGetCurrent")
        self.device: int = call("cudaGetDevice")
        self.name: str = call("cudaGetDeviceProperties", self.device).name.decode().rstrip("\0")
        self.major = self._attribute("cudaDevAttrComputeCapabilityMajor")
        self.compute_capability = f"{self.major}.{self._attribute('cudaDevAttrComputeCapabilityMinor')}"

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make this GPU's context current in this thread during the block, then restore the previous one."""
        call("cuCtxPushCurrent", self._context)
        try:
            yield
        finally:
            call("cuCtxPopCurrent")

    def _attribute(self, name: str) -> int:
        return int(call("cudaDeviceGetAttribute", constant("cudaDeviceAttr", name), self.device))


class Memory:
    """Memory on the GPU or page-locked memory on the host, freed by `close`.

    Args:
        size: The number of bytes.
        pinned: Whether the memory is page-locked memory on the host, which the GPU can access.

    Raises:
        BackendError: If there is not enough memory.
    """

    def __init__(self, size: int, *, pinned: bool = False) -> None:
        self.size = size
        self._free = "cudaFreeHost" if pinned else "cudaFree"
        try:
            self.address: int = call("cudaMallocHost" if pinned else "cudaMalloc", size)
        except CudaError as error:
            raise BackendError(
                f"{size / _MIB:.0f} MiB of {'page-locked' if pinned else 'GPU'} memory cannot be allocated "
                f"({str(error).partition(':')[0]}): close other programs and segmenters, or export a smaller size"
            ) from error

    def close(self) -> None:
        """Free the memory."""
        call(self._free, self.address)


class GrowingMemory:
    """Memory that is replaced by a larger block when more is needed; freed by `close`.

    Args:
        pinned: Whether the memory is page-locked memory on the host, see `Memory`.
    """

    def __init__(self, *, pinned: bool = False) -> None:
        self._pinned = pinned
        self._memory: Memory | None = None

    def reserve(self, size: int) -> None:
        """Ensure a size of at least ``size`` bytes. The contents may be lost, so no pending work may use them."""
        if size > (self._memory.size if self._memory else 0):
            self.close()
            self._memory = Memory(size, pinned=self._pinned)

    @property
    def address(self) -> int:
        """The address of the memory, which must have been reserved."""
        assert self._memory is not None
        return self._memory.address

    def close(self) -> None:
        """Free the memory."""
        memory, self._memory = self._memory, None
        if memory is not None:
            memory.close()


class HostView:
    """Host memory, allocated elsewhere, as a NumPy array. The array and its views keep this object alive.

    Args:
        address: The address of the memory.
        shape: The array's shape.
        dtype: The array's type.
    """

    def __init__(self, address: int, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.__array_interface__ = {
            "version": 3,
            "data": (address, False),
            "shape": shape,
            "typestr": np.dtype(dtype).str,
        }

    def array(self) -> NDArray[np.generic]:
        """Return the memory as an array, without a copy."""
        return np.asarray(self)


def offsets(sizes: Iterable[int]) -> list[int]:
    """Return the offset of each array in a block that holds them all, given their bytes, and then the block's size."""
    return [0, *accumulate(-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes)]


@cache
def _library(name: str) -> ModuleType:
    try:
        return import_module(f"cuda.bindings.{name}")
    except ImportError as error:
        raise BackendError(f"CUDA's Python bindings cannot be imported ({error}): pip install cuda-bindings") from error


def _require_driver() -> None:
    try:
        error, count = _library("runtime").cudaGetDeviceCount()
        reason = error.name if int(error) != 0 else "" if count else "none is visible"
    except RuntimeError as missing:  # older bindings load the driver themselves
        reason = str(missing)
    if reason:
        raise BackendError(
            f"no NVIDIA GPU with a driver can be used here ({reason}): check nvidia-smi, or run the .onnx that the "
            "engine was built from"
        )
