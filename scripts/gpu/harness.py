"""The plugin's `enqueue` on device pointers through ctypes: what the plugin's enqueue_harness.cpp exports.

Needs neither PyTorch nor TensorRT. Whoever has tensors gives their addresses and shapes::

    with Plugin(library, Attributes(relu=True)) as plugin:
        buffers = [Buffer(tensor.data_ptr(), tuple(tensor.shape)) for tensor in (x, packed_weight, raw, bias, y)]
        plugin.enqueue(buffers, stream, half=True, hwc8=True)
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

_RANKS = (4, 3, 4, 1, 4)
"""Numbers of axes of X, W, raw, B and Y."""


class Attributes(NamedTuple):
    """The operator's attributes, in the order of the plugin's fields. The defaults are PEM's, without ReLU."""

    kernel_shape: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (1, 1, 1, 1)
    dilations: tuple[int, int] = (1, 1)
    group: int = 1
    offset_group: int = 1
    relu: bool = False

    def flat(self) -> list[int]:
        """Return all values in a row."""
        return [
            *self.kernel_shape,
            *self.strides,
            *self.pads,
            *self.dilations,
            self.group,
            self.offset_group,
            int(self.relu),
        ]


class Buffer(NamedTuple):
    """A tensor on the device: its address, and its shape as if it were kLINEAR, such as (N, C, H, W).

    A tensor in kHWC8 has more values than its shape says: raw with 27 channels has 32 in memory.
    """

    pointer: int
    shape: tuple[int, ...]


class Plugin:
    """A plugin for one set of attributes; shapes may differ from call to call."""

    def __init__(self, library: Path, attributes: Attributes) -> None:
        """Load the compiled harness. Raises RuntimeError if the plugin refuses the attributes."""
        self._harness = ctypes.CDLL(str(library))
        self._harness.harness_create.restype = ctypes.c_void_p
        values = attributes.flat()
        self._plugin = ctypes.c_void_p(self._harness.harness_create((ctypes.c_int32 * len(values))(*values)))
        if not self._plugin:
            raise RuntimeError(f"the plugin refused the attributes {attributes}")

    def enqueue(self, tensors: Sequence[Buffer], stream: int, *, half: bool, hwc8: bool) -> None:
        """Start the kernels, without waiting for them.

        Args:
            tensors: X (N, C, H, W); W (taps, C / group, C'), packed and padded as geometry.h says; raw, offsets and
                then mask logits (N, 3 x taps x offset_group, OH, OW); B (C'); and Y (N, C', OH, OW).
            stream: The address of a CUDA stream; 0 for the default one.
            half: Whether the tensors are in half precision; single otherwise.
            hwc8: Whether X, raw and Y have the layout kHWC8: (N, H, W, C), with C padded to a multiple of 8 by
                anything. The others, and all tensors if not, are contiguous.

        Raises:
            RuntimeError: If the plugin refuses the call.
        """
        if tuple(len(tensor.shape) for tensor in tensors) != _RANKS:
            raise ValueError(f"tensors of shapes {[tensor.shape for tensor in tensors]}, expected X, W, raw, B and Y")
        sizes = [size for tensor in tensors for size in tensor.shape]
        error = self._harness.harness_enqueue(
            self._plugin,
            (ctypes.c_int64 * len(sizes))(*sizes),
            int(half),
            int(hwc8),
            (ctypes.c_void_p * len(tensors))(*(tensor.pointer for tensor in tensors)),
            ctypes.c_void_p(stream),
        )
        if error:
            raise RuntimeError("the plugin refused the call; its reason is on standard error")

    def close(self) -> None:
        """Destroy the plugin, which must have no calls running."""
        self._harness.harness_destroy(self._plugin)
        self._plugin = ctypes.c_void_p()

    def __enter__(self) -> Plugin:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()
