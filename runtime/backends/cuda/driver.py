"""CUDA as far as the TensorRT backends need it: the GPU, memory, graphs, and errors of one line.

``cuda-bindings`` is imported when first called: it is only installed where TensorRT is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, SupportsInt

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pem_edge.runtime.errors import BackendError

_MIB = 1 << 20


class CudaError(BackendError):
    """A call of CUDA's failed."""


def call(function: str, *arguments: object) -> Any:  # of a type of CUDA's that the function's name decides
    """Return what a function of CUDA's runtime (``cuda...``) or driver (``cu...``) returns.

    Raises:
        CudaError: If the call fails.
    """
    library = _library("runtime" if function.startswith("cuda") else "driver")
    error, *results = getattr(library, function)(*arguments)
    if int(error) != 0:
        _library("runtime").cudaGetLastError()  # else other users of CUDA in this process meet the error
        raise CudaError(f"{function} failed with {error.name}: look at the GPU with nvidia-smi, then start again")
    return results[0] if results else None


def nvrtc(function: str, *arguments: object) -> list[Any]:  # of types that the function's name decides
    """Return all that a function of CUDA's runtime compiler returns.

    Raises:
        BackendError: If the compiler is not installed, or the call fails.
    """
    library = _library("nvrtc")
    try:
        error, *results = getattr(library, function)(*arguments)
    except RuntimeError as missing:  # the bindings look for the library when first called
        raise BackendError(
            f"CUDA's runtime compiler, NVRTC, cannot be loaded ({' '.join(str(missing).split())[:200]}): install "
            "CUDA's toolkit, or pip install nvidia-cuda-nvrtc, for CUDA 12 nvidia-cuda-nvrtc-cu12"
        ) from missing
    if int(error) != 0:
        raise CudaError(f"{function} failed with {error.name}: install the NVRTC of a CUDA that knows this GPU")
    return list(results)


def constant(kind: str, name: str) -> object:
    """Return a member of an enumeration of CUDA's runtime."""
    return getattr(getattr(_library("runtime"), kind), name)


class Gpu:
    """The GPU and the CUDA context of the thread that makes this object, or those of the first GPU.

    Using the context that is there lets arrays of pycuda, which makes its own, be read.

    Raises:
        BackendError: If there is no GPU with a driver.
    """

    def __init__(self) -> None:
        _require_driver()
        call("cudaFree", 0)  # makes a context where there is none
        self._context = call("cuCtxGetCurrent")
        self.device: int = call("cudaGetDevice")
        self.name: str = call("cudaGetDeviceProperties", self.device).name.decode().rstrip("\0")
        self.major = self._attribute("cudaDevAttrComputeCapabilityMajor")
        self.compute_capability = f"{self.major}.{self._attribute('cudaDevAttrComputeCapabilityMinor')}"

    @contextmanager
    def current(self) -> Iterator[None]:
        """Direct this thread's calls to this GPU within the block, and to the one before it afterwards."""
        call("cuCtxPushCurrent", self._context)
        try:
            yield
        finally:
            call("cuCtxPopCurrent")

    def _attribute(self, name: str) -> int:
        return int(call("cudaDeviceGetAttribute", constant("cudaDeviceAttr", name), self.device))


class Memory:
    """``size`` bytes on the GPU or, if ``pinned``, on the host where the GPU can reach them; freed by `close`.

    Raises BackendError if there is not enough.
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
    """Memory on the GPU that is replaced by a larger one when more is needed; freed by `close`."""

    def __init__(self) -> None:
        self._memory: Memory | None = None

    def reserve(self, size: int) -> None:
        """Hold at least ``size`` bytes from now on. The contents may be lost, so nothing may be using them."""
        if self._memory is None or self._memory.size < size:
            self.close()
            self._memory = Memory(size)

    @property
    def address(self) -> int:
        """The address of the memory; something must have been reserved."""
        assert self._memory is not None
        return self._memory.address

    def close(self) -> None:
        """Free the memory."""
        memory, self._memory = self._memory, None
        if memory is not None:
            memory.close()


class HostView:
    """Memory of others that NumPy can make an array of. The array and its views keep this object alive."""

    def __init__(self, address: int, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.__array_interface__ = {
            "version": 3,
            "data": (address, False),
            "shape": shape,
            "typestr": np.dtype(dtype).str,
        }

    def array(self) -> NDArray[np.generic]:
        """Return the array."""
        return np.asarray(self)


class Graph:
    """What ``enqueue`` puts on ``stream``, recorded, to be launched as one. Raises BackendError if it can't be."""

    def __init__(self, stream: SupportsInt, enqueue: Callable[[], None]) -> None:
        # Relaxed: should Python's garbage collector free memory meanwhile, that would end a stricter recording.
        call("cudaStreamBeginCapture", stream, constant("cudaStreamCaptureMode", "cudaStreamCaptureModeRelaxed"))
        try:
            enqueue()
        except BaseException:
            with suppress(CudaError):  # recording must end whatever happens
                call("cudaGraphDestroy", call("cudaStreamEndCapture", stream))
            raise
        graph = call("cudaStreamEndCapture", stream)
        try:
            self._executable = call("cudaGraphInstantiate", graph, 0)
        finally:
            call("cudaGraphDestroy", graph)

    def launch(self, stream: SupportsInt) -> None:
        """Put it on ``stream``."""
        call("cudaGraphLaunch", self._executable, stream)

    def close(self) -> None:
        """Free it."""
        call("cudaGraphExecDestroy", self._executable)


def copy(target: int, source: int, size: int, stream: SupportsInt) -> None:
    """Copy bytes between any two addresses that CUDA knows, in the order of ``stream``."""
    call("cudaMemcpyAsync", target, source, size, constant("cudaMemcpyKind", "cudaMemcpyDefault"), stream)


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
    except RuntimeError as missing:  # older bindings look for the driver themselves
        reason = str(missing)
    if reason:
        raise BackendError(
            f"no NVIDIA GPU with a driver can be used here ({reason}): check nvidia-smi, or export with --to onnx"
        )
