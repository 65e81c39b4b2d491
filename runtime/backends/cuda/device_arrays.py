"""Reads arrays on a GPU that other libraries made, such as torch, cupy, pycuda or numba, without importing these.

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
"""Handle of CUDA's default stream with legacy synchronization (``cudaStreamLegacy``)."""

_CUDA, _CUDA_HOST, _CUDA_MANAGED = 2, 3, 13
"""Values of DLPack's ``DLDeviceType``."""

_KINDS = {0: "i", 1: "u", 2: "f", 6: "b"}
"""NumPy's ``dtype.kind`` by DLPack's ``DLDataTypeCode``."""


class _ArrayInterface(TypedDict, total=False):
    """The entries of ``__cuda_array_interface__`` that are read here."""

    shape: tuple[int, ...]
    typestr: str
    data: tuple[int, bool]
    strides: tuple[int, ...] | None
    stream: int | None


class CudaArray(Protocol):
    """An array that implements the CUDA array interface."""

    @property
    def __cuda_array_interface__(self) -> Mapping[str, object]: ...


class DlpackArray(Protocol):
    """An array that implements the DLPack protocol."""

    def __dlpack__(self, *, stream: int | None = None) -> object: ...

    def __dlpack_device__(self) -> tuple[int, int]: ...


Images = NDArray[np.uint8] | CudaArray | DlpackArray
"""A batch of images in host memory or, for backends that accept it, on the GPU."""


class DeviceArray(NamedTuple):
    """A C-contiguous array in memory that the GPU can access.

    Attributes:
        address: The address of the first element.
        shape: The array's shape.
        dtype: The type of the elements.
        stream: Handle of the stream on which the producer's work on the array may still be pending; a reader must
            first wait for that work. None if there is nothing to wait for.
        owner: The object that keeps the memory allocated.
    """

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    stream: int | None
    owner: object


def on_gpu(images: object) -> bool:
    """Return whether ``images`` is not a NumPy array and is in memory that CUDA can access."""
    return not isinstance(images, np.ndarray) and (
        _dlpack_device(images) in (_CUDA, _CUDA_HOST, _CUDA_MANAGED) or hasattr(images, "__cuda_array_interface__")
    )


def read(images: object, stream: int) -> DeviceArray:
    """Return the address and layout of an array for which `on_gpu` is true.

    An array that implements both protocols is read through DLPack, whose producer makes ``stream`` wait for the array.

    Args:
        images: The array.
        stream: Handle of the CUDA stream that will read the array.

    Raises:
        BackendError: If the array has gaps or is not in C order.
    """
    device = _dlpack_device(images)
    if device in (_CUDA, _CUDA_HOST, _CUDA_MANAGED):
        producer = cast("DlpackArray", images)
        return _from_capsule(producer.__dlpack__(stream=None if device == _CUDA_HOST else stream))
    return _from_interface(cast("CudaArray", images))


def _dlpack_device(images: object) -> int | None:
    return int(images.__dlpack_device__()[0]) if hasattr(images, "__dlpack_device__") else None


def _from_interface(images: CudaArray) -> DeviceArray:
    interface = cast("_ArrayInterface", images.__cuda_array_interface__)
    shape, dtype = tuple(interface["shape"]), np.dtype(interface["typestr"])
    _require_contiguous(shape, interface.get("strides"), dtype.itemsize)
    # Version 2 of the interface has no streams; in version 3, None means that there is nothing to wait for.
    return DeviceArray(interface["data"][0], shape, dtype, interface.get("stream", LEGACY_STREAM), images)


class _DlTensor(ctypes.Structure):
    """DLPack's ``DLTensor``, with its nested structures laid out flat."""

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
    """Return the array in a DLPack capsule, which becomes the array's owner.

    The capsule is not renamed to "used_dltensor", so that its destructor frees the array.
    """
    tensor = _DlTensor.from_address(_get_capsule_pointer(ctypes.py_object(capsule), b"dltensor"))
    shape = tuple(tensor.shape[: tensor.ndim])
    dtype = np.dtype(f"{_KINDS.get(tensor.code, 'V')}{tensor.bits * tensor.lanes // 8}")
    _require_contiguous(shape, tuple(tensor.strides[: tensor.ndim]) if tensor.strides else None, 1)
    return DeviceArray((tensor.data or 0) + tensor.byte_offset, shape, dtype, None, capsule)


_get_capsule_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def _require_contiguous(shape: tuple[int, ...], strides: tuple[int, ...] | None, step: int) -> None:
    """Raise BackendError if an array has gaps or is not in C order.

    Args:
        shape: The array's shape. A dimension of size 1 may have any stride.
        strides: The array's strides; None for an array in C order.
        step: The stride of neighbors in the last dimension: the item size if strides are in bytes, 1 if in elements.
    """
    for size, stride in zip(reversed(shape), reversed(strides or ()), strict=False):
        if size > 1 and stride != step:
            raise BackendError(
                f"images on the GPU have the shape {shape} and strides {tuple(strides or ())}, expected no gaps and "
                "C order: make them contiguous first"
            )
        step *= size
