"""Launches compiled kernels on a GPU."""

from __future__ import annotations

import ctypes
from typing import SupportsInt

from pem_edge.runtime.backends.cuda.driver import call


class Module:
    """Compiled kernels, loaded on the current GPU.

    Args:
        cubin: The kernels' binary.

    Raises:
        CudaError: If the binary is not for this GPU.
    """

    def __init__(self, cubin: bytes) -> None:
        self._module = call("cuModuleLoadData", cubin)
        self._functions: dict[str, object] = {}

    def launch(
        self,
        kernel: str,
        blocks: tuple[int, int],
        threads: int,
        shared: int,
        argument: ctypes.Structure,
        stream: SupportsInt,
    ) -> None:
        """Enqueue a kernel that takes one structure.

        Args:
            kernel: The kernel's name.
            blocks: The number of blocks in x and y.
            threads: The number of threads per block.
            shared: Bytes of dynamic shared memory per block.
            argument: The kernel's argument, which is copied.
            stream: The stream to enqueue on.

        Raises:
            CudaError: If there is no such kernel, or it cannot be launched.
        """
        if kernel not in self._functions:
            self._functions[kernel] = call("cuModuleGetFunction", self._module, kernel.encode())
        pointers = (ctypes.c_void_p * 1)(ctypes.addressof(argument))
        grid = (*blocks, 1, threads, 1, 1)
        call("cuLaunchKernel", self._functions[kernel], *grid, shared, int(stream), ctypes.addressof(pointers), 0)

    def close(self) -> None:
        """Unload the kernels."""
        call("cuModuleUnload", self._module)
