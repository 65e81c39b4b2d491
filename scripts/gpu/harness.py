"""The plugin's `enqueue` on device pointers through ctypes: what the plugin's enqueue_harness.cpp exports."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from reference.deform_conv_cases import Case


class Plugin:
    """A plugin for one set of attributes; shapes may differ from call to call."""

    def __init__(self, library: Path, case: Case) -> None:
        self._harness = ctypes.CDLL(str(library))
        self._harness.harness_create.restype = ctypes.c_void_p
        self._harness.harness_workspace.restype = ctypes.c_size_t
        attributes = [*case.kernel_shape, *case.strides, *case.pads, *case.dilations, case.group, case.offset_group]
        self._plugin = ctypes.c_void_p(self._harness.harness_create((ctypes.c_int32 * 12)(*attributes)))
        if not self._plugin:
            raise RuntimeError(f"the plugin refused the attributes {attributes}")

    def workspace(self, case: Case, *, half: bool, hwc8: bool) -> int:
        """Return bytes of workspace for a call of these shapes."""
        return int(self._harness.harness_workspace(self._plugin, _shapes(case), int(half), int(hwc8)))

    def enqueue(
        self, case: Case, pointers: Sequence[int], workspace: int, stream: int, *, half: bool, hwc8: bool
    ) -> None:
        """Start the kernels on ``stream``. ``pointers``: X, W, offset, B, mask, Y; X and Y in kHWC8 if ``hwc8``."""
        error = self._harness.harness_enqueue(
            self._plugin,
            _shapes(case),
            int(half),
            int(hwc8),
            (ctypes.c_void_p * 6)(*pointers),
            ctypes.c_void_p(workspace),
            ctypes.c_void_p(stream),
        )
        if error:
            raise RuntimeError("the plugin refused the call; its reason is on standard error")

    def __enter__(self) -> Plugin:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._harness.harness_destroy(self._plugin)


def _shapes(case: Case) -> ctypes.Array[ctypes.c_int64]:
    sizes = [size for array in case.inputs for size in array.shape] + list(case.output_shape)
    return (ctypes.c_int64 * 21)(*sizes)
