"""Arrays on a GPU, whichever library made them: torch, cupy, pycuda, numba. None of these is imported.

Sources: https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html (version 3) and
https://dmlc.github.io/dlpack/latest/python_spec.html, whose C structures are declared below.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import NamedTuple, Protocol, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.errors import BackendError

LEGACY_STREAM = 1
"""Handle of the stream that CUDA programs use unless told otherwise."""

_CUDA, _CUDA_HOST, _CUDA_MANAGED = 2, 3, 13  # DLDeviceType
_KINDS = {0: "i", 1: "u", 2: "f", 6: "b"}  # DLDataTypeCode to NumPy's kinds


class _Interface(TypedDict, total=False):
    """The entries of ``__cuda_array_interface__`` that are used here."""

    shape: tuple[int, ...]
    typestr: str
    data: tuple[int, bool]
    strides: tuple[int, ...] | None
    stream: int | None


class CudaArray(Protocol):
    """An array that says where it lies on the GPU."""

    @property
    def __cuda_array_interface__(self) -> Mapping[str, object]: ...


class DlpackArray(Protocol):
    """An array that can be handed over as a DLPack capsule."""

    def __dlpack__(self, *, stream: int | None = None) -> object: ...

    def __dlpack_device__(self) -> tuple[int, int]: ...


Images = NDArray[np.uint8] | CudaArray | DlpackArray
"""What a backend takes: a batch in host memory or, if the backend runs there, on the GPU."""


class DeviceArray(NamedTuple):
    """A C-contiguous array at ``address``, good while ``owner`` lives.

    Whoever reads it must first wait for what was put on ``stream`` up to now, unless that is None.
    """

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    stream: int | None
    owner: object


def on_gpu(images: object) -> bool:
    """Return whether ``images`` is an array that CUDA, but not NumPy, may read."""
    return not isinstance(images, np.ndarray) and (
        _dlpack_device(images) in (_CUDA, _CUDA_HOST, _CUDA_MANAGED) or hasattr(images, "__cuda_array_interface__")
    )


def read(images: object, stream: int) -> DeviceArray:
    """Return where ``images`` lies, to be read on the CUDA stream of that handle.

    DLPack comes first where there is both: its maker waits for the right stream. Raises BackendError if the array has
    gaps or is not in C order.
    """
    device = _dlpack_device(images)
    if device in (_CUDA, _CUDA_HOST, _CUDA_MANAGED):
        producer = cast("DlpackArray", images)
        return _from_capsule(producer.__dlpack__(stream=None if device == _CUDA_HOST else stream))
    return _from_interface(cast("CudaArray", images))


def _dlpack_device(images: object) -> int | None:
    return int(images.__dlpack_device__()[0]) if hasattr(images, "__dlpack_device__") else None


def _from_interface(images: CudaArray) -> DeviceArray:
    interface = cast("_Interface", images.__cuda_array_interface__)
    shape, dtype = tuple(interface["shape"]), np.dtype(interface["typestr"])
    _require_contiguous(shape, interface.get("strides"), dtype.itemsize)
    # Version 2 knew no streams. In version 3, None says that there is nothing to wait for.
    return DeviceArray(interface["data"][0], shape, dtype, interface.get("stream", LEGACY_STREAM), images)


class _DlTensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


def _from_capsule(capsule: object) -> DeviceArray:
    """Return the array in a DLPack capsule, which is never marked as used, so that it frees the array when it dies."""
    tensor = _DlTensor.from_address(_pointer(ctypes.py_object(capsule), b"dltensor"))
    shape = tuple(tensor.shape[: tensor.ndim])
    dtype = np.dtype(f"{_KINDS.get(tensor.code, 'V')}{tensor.bits * tensor.lanes // 8}")
    _require_contiguous(shape, tuple(tensor.strides[: tensor.ndim]) if tensor.strides else None, 1)
    return DeviceArray((tensor.data or 0) + tensor.byte_offset, shape, dtype, None, capsule)


_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def _require_contiguous(shape: tuple[int, ...], strides: tuple[int, ...] | None, step: int) -> None:
    """Raise BackendError if the array has gaps or is not in C order.

    ``step`` is what strides count for neighbors in the last dimension; sizes of 1 may have any stride.
    """
    for size, stride in zip(reversed(shape), reversed(strides or ()), strict=False):
        if size > 1 and stride != step:
            raise BackendError(
                f"images on the GPU have the shape {shape} and strides {tuple(strides or ())}, expected no gaps and "
                "C order: make them contiguous first"
            )
        step *= size
