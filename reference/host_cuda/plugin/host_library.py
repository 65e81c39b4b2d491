"""Compiles the plugin's kernels and logic for the host with g++, and calls them through ctypes."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pem_edge.runtime.backends.tensorrt.plugins.library import SOURCES
from reference.deform_conv_cases import Array, Case
from reference.host_cuda.compiling import compile_library

HERE = Path(__file__).parent


class Kernel(IntEnum):
    """Which kernel runs."""

    CHOSEN = 0
    SIMPLE = 1
    FUSED = 2


class Layout(IntEnum):
    """The layout of X, raw and Y, by its number in the plugin's sources."""

    LINEAR = 0
    HWC8 = 1
    OTHER = 2


class Element(IntEnum):
    """The type of a tensor, by its number in the plugin's sources."""

    FLOAT = 0
    HALF = 1
    OTHER = 2


class FieldType(IntEnum):
    """The type of a field, by its number in the plugin's sources."""

    INT32 = 0
    INT64 = 1
    OTHER = 2


class Attributes(ctypes.Structure):
    """The operator's attributes."""

    _fields_: ClassVar[Sequence[Any]] = [
        ("kernel_shape", ctypes.c_int32 * 2),
        ("strides", ctypes.c_int32 * 2),
        ("pads", ctypes.c_int32 * 4),
        ("dilations", ctypes.c_int32 * 2),
        ("group", ctypes.c_int32),
        ("offset_group", ctypes.c_int32),
        ("relu", ctypes.c_int32),
    ]

    def as_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name, _ in self._fields_}
        return {name: value if isinstance(value, int) else tuple(value) for name, value in values.items()}


class Device(ctypes.Structure):
    """A GPU's number of multiprocessors, and the bytes of shared memory that a block may have."""

    _fields_: ClassVar[Sequence[Any]] = [("multiprocessors", ctypes.c_int), ("shared_bytes", ctypes.c_int)]


class Problem(ctypes.Structure):
    """The sizes of one call."""

    _fields_: ClassVar[Sequence[Any]] = [
        *((name, ctypes.c_int32) for name in ("batch", "channels", "height", "width")),
        *((name, ctypes.c_int32) for name in ("out_channels", "out_height", "out_width")),
        ("attributes", Attributes),
    ]


class Pointers(ctypes.Structure):
    """The addresses of the tensors."""

    _fields_: ClassVar[Sequence[Any]] = [(name, ctypes.c_void_p) for name in ("x", "weight", "raw", "bias", "y")]


class Field(ctypes.Structure):
    """A field, in which TensorRT hands on an attribute."""

    _fields_: ClassVar[Sequence[Any]] = [
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("type", ctypes.c_int),
        ("length", ctypes.c_int32),
    ]


class Form(ctypes.Structure):
    """The type and the layout of a tensor."""

    _fields_: ClassVar[Sequence[Any]] = [("element", ctypes.c_int), ("layout", ctypes.c_int)]


class Shape(ctypes.Structure):
    """The sizes of a tensor."""

    _fields_: ClassVar[Sequence[Any]] = [("rank", ctypes.c_int32), ("size", ctypes.c_int64 * 8)]


def compile_for_host(folder: Path, *, headers: str | None = None, options: Sequence[str] = ()) -> Path:
    """Compile the library, and return its path; see `compile_library` for errors.

    Args:
        folder: The folder to put the library into.
        headers: The folder of TensorRT's headers, to compile the plugin and its harness, too; None for
            a harness that calls the kernels without the plugin.
        options: Further options for g++.
    """
    names = ["kernels/simple_kernel.cu", "kernels/fused_kernel.cu", "launch.cpp", "fields.cpp", "negotiation.cpp"]
    names += ["plugin.cpp", "enqueue_harness.cpp"] if headers else []
    sources = [*(SOURCES / name for name in names), HERE / "host_api.cpp"]
    sources += [] if headers else [HERE / "host_harness.cpp"]
    includes = [*(["-isystem", headers] if headers else []), f"-I{SOURCES}"]
    settings = ["-Wno-unknown-pragmas", '-DPEM_EDGE_SOURCES="test"', *options, *includes, "-x", "c++"]
    return compile_library(folder / "plugin_on_host.so", sources, settings)


def load(path: Path) -> ctypes.CDLL:
    """Load the library, and declare the types of its functions."""
    library = ctypes.CDLL(str(path))
    library.allocate.restype = ctypes.c_void_p
    library.output_extent.restype = ctypes.c_int64
    library.supported.restype = ctypes.c_bool
    return library


def attributes_of(case: Case) -> Attributes:
    kernel, strides, dilations = ((ctypes.c_int32 * 2)(*v) for v in (case.kernel_shape, case.strides, case.dilations))
    groups = case.group, case.offset_group
    return Attributes(kernel, strides, (ctypes.c_int32 * 4)(*case.pads), dilations, *groups, int(case.relu))


def problem_of(case: Case) -> Problem:
    return Problem(*case.x.shape, *case.output_shape[1:], attributes_of(case))


def run(
    library: ctypes.CDLL,
    case: Case,
    kernel: Kernel = Kernel.CHOSEN,
    layout: Layout = Layout.LINEAR,
    multiprocessors: int = 1,
    shared_bytes: int = 99 * 1024,
) -> Array:
    """Run one of the plugin's kernels on a case in float32 or float16, and return the output, (N, C', OH, OW)."""
    message = ctypes.create_string_buffer(1024)
    with device_arrays(library, case, layout) as tensors:
        error = library.run(
            ctypes.byref(problem_of(case)),
            Element.HALF if case.x.dtype == np.float16 else Element.FLOAT,
            layout,
            kernel,
            ctypes.byref(Device(multiprocessors, shared_bytes)),
            ctypes.byref(Pointers(*(tensor.ctypes.data for tensor in tensors))),
            message,
        )
        if error:
            raise RuntimeError(f"error {error}: {message.value.decode()}")
        return result_of(tensors[-1], case, layout)


@contextmanager
def device_arrays(library: ctypes.CDLL, case: Case, layout: Layout) -> Iterator[list[Any]]:
    """Give the block X, W, raw, B and Y, of which Y and all padding hold NaN."""
    arrays = [*case.plugin_inputs, np.full(case.output_shape, np.nan, case.x.dtype)]
    if layout is Layout.HWC8:
        arrays = [to_hwc8(array) if array.ndim == 4 else array for array in arrays]
    with ExitStack() as stack:
        yield [stack.enter_context(_device_array(library, array)) for array in arrays]


def result_of(output: Any, case: Case, layout: Layout) -> Array:
    """Return the output, (N, C', OH, OW). Raises RuntimeError if kHWC8's padding does not hold zeros."""
    if layout is Layout.LINEAR:
        linear: Array = output.copy()
        return linear
    channels = case.output_shape[1]
    if output[..., channels:].any():
        raise RuntimeError("the padding of Y does not hold zeros")
    result: Array = output[..., :channels].transpose(0, 3, 1, 2).copy()
    return result


@contextmanager
def _device_array(library: ctypes.CDLL, array: Any) -> Iterator[Any]:
    """Give the block a copy in separate memory that is aligned like a GPU's."""
    memory = library.allocate(ctypes.c_size_t(array.nbytes))
    copy = np.frombuffer((ctypes.c_char * array.nbytes).from_address(memory), array.dtype).reshape(array.shape)
    copy[...] = array
    try:
        yield copy
    finally:
        library.release(ctypes.c_void_p(memory))


def to_hwc8(x: Array) -> Array:
    """Return (N, C, H, W) as (N, H, W, C padded to 8 with NaN), TensorRT's kHWC8, whose padding may hold anything."""
    padding = ((0, 0), (0, -x.shape[1] % 8), (0, 0), (0, 0))
    return np.ascontiguousarray(np.pad(x, padding, constant_values=np.nan).transpose(0, 2, 3, 1))
