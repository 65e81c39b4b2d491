"""Arrays on the simulated GPU, as other libraries would create them."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.backends.cuda import device_arrays
from reference.cuda_simulation.cuda import Cuda


class CudaArray:
    """An array on the simulated GPU, or in page-locked memory, that implements the CUDA array interface."""

    def __init__(self, machine: Cuda, images: NDArray[Any], gpu: int = 0, pinned: bool = False, **more: Any) -> None:
        machine.cuCtxPushCurrent(machine.primary[gpu])
        _, self.address = (machine.cudaMallocHost if pinned else machine.cudaMalloc)(images.nbytes)
        machine.view(self.address, images.nbytes)[:] = np.frombuffer(images.tobytes(), np.uint8)
        machine.cuCtxPopCurrent()
        self.machine, self.gpu, self.pinned, self.images = machine, gpu, pinned, images
        self.freed = False
        self.interface = {
            "version": 3,
            "data": (self.address, True),
            "shape": images.shape,
            "typestr": images.dtype.str,
            "strides": None,
            "stream": None,
            **more,
        }

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self.interface

    def free(self) -> None:
        """Free the memory, as the array's library would."""
        self.machine.cuCtxPushCurrent(self.machine.primary[self.gpu])
        (self.machine.cudaFreeHost if self.pinned else self.machine.cudaFree)(self.address)
        self.machine.cuCtxPopCurrent()
        self.freed = True


class DlpackArray:
    """A `CudaArray` that implements DLPack instead. Its memory is freed along with the capsule."""

    def __init__(self, array: CudaArray, strides: tuple[int, ...] | None = None, offset: int = 0) -> None:
        self.array, self.strides, self.offset = array, strides, offset
        self.streams: list[int | None] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return (3 if self.array.pinned else 2, self.array.gpu)

    def __dlpack__(self, *, stream: int | None = None) -> Any:
        self.streams.append(stream)
        images = self.array.images
        tensor = device_arrays._DlTensor(
            self.array.address - self.offset,
            *self.__dlpack_device__(),
            images.ndim,
            {"u": 1, "f": 2}[images.dtype.kind],
            images.itemsize * 8,
            1,
            (ctypes.c_int64 * images.ndim)(*images.shape),
            (ctypes.c_int64 * images.ndim)(*self.strides) if self.strides else None,
            self.offset,
        )
        capsule = _NEW_CAPSULE(ctypes.addressof(tensor), _DLTENSOR, _FREE)
        ALIVE[ctypes.addressof(tensor)] = (tensor, self.array)
        return capsule


_DLTENSOR = ctypes.create_string_buffer(b"dltensor")  # capsules keep its address, so it must stay alive
ALIVE: dict[int, tuple[ctypes.Structure, CudaArray]] = {}
"""The tensors and arrays of capsules that have not been destroyed, by the tensor's address."""

_Destructor = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_NEW_CAPSULE = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, _Destructor)(
    ("PyCapsule_New", ctypes.pythonapi)
)
_POINTER = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def _free(capsule: int) -> None:
    ALIVE.pop(_POINTER(capsule, b"dltensor"))[1].free()


_FREE = _Destructor(_free)
