"""Simulates NVRTC and kernel launches, for the kernels of this project only, which g++ compiles for the host."""
# ruff: noqa: N802, N803  # CUDA's names

from __future__ import annotations

import ctypes
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pem_edge.runtime.backends.tensorrt.kernels.arguments import FitArguments, MergeArguments
from reference.cuda_simulation.machine import (
    Block,
    CompilerError,
    Context,
    DriverError,
    Error,
    Handle,
    Machine,
    Work,
)
from reference.host_cuda.kernels import SOURCES, host_kernels

_MAGIC = b"simulated cubin"
_LOG = b"no such architecture\0"
_SUCCESS = DriverError.CUDA_SUCCESS
_WRITTEN = frozenset({"target", "candidates", "summary", "segments", "map"})
"""The members of the kernels' arguments that point to what the kernels write."""


@dataclass(eq=False)
class Program(Handle):
    """An NVRTC program."""

    sources: dict[str, bytes]
    binary: bytes = b""


@dataclass(eq=False)
class Module(Handle):
    """A module of loaded kernels."""

    context: Context


@dataclass(eq=False)
class Function(Handle):
    """A kernel of a module."""

    module: Module
    name: str


class Kernels(Machine):
    """NVRTC and kernel launches on a simulated `Machine`."""

    compilations = 0
    architectures: Collection[str] = frozenset({"sm_87", "sm_89"})

    # NVRTC

    def nvrtcVersion(self) -> Any:
        return CompilerError.NVRTC_SUCCESS, 13, 0

    def nvrtcCreateProgram(
        self, src: bytes, name: bytes, numHeaders: int, headers: Sequence[bytes], includeNames: Sequence[bytes]
    ) -> Any:
        if not numHeaders == len(headers) == len(includeNames):
            self.fault("a program is given another number of headers than stated")
        texts = (src, *headers)
        sources = {name.decode(): text for name, text in zip((name, *includeNames), texts, strict=True)}
        return CompilerError.NVRTC_SUCCESS, self.add_handle(Program(sources))

    def nvrtcCompileProgram(self, prog: Program, numOptions: int, options: Sequence[bytes]) -> Any:
        architecture = next(option for option in options if option.startswith(b"--gpu-architecture=")).decode()[19:]
        if numOptions != len(options) or architecture not in self.architectures:
            return (CompilerError.NVRTC_ERROR_INVALID_OPTION,)
        if any(text != (SOURCES / name).read_bytes() for name, text in prog.sources.items()):
            self.fault("other sources than the kernels' are compiled")
        self.compilations += 1
        prog.binary = _MAGIC + json.dumps([architecture, *prog.sources]).encode()
        return (CompilerError.NVRTC_SUCCESS,)

    def nvrtcGetCUBINSize(self, prog: Program) -> Any:
        return CompilerError.NVRTC_SUCCESS, len(prog.binary)

    def nvrtcGetCUBIN(self, prog: Program, cubin: bytes) -> Any:
        _overwrite(cubin, prog.binary)
        return (CompilerError.NVRTC_SUCCESS,)

    def nvrtcGetProgramLogSize(self, prog: Program) -> Any:  # noqa: ARG002
        return CompilerError.NVRTC_SUCCESS, len(_LOG)

    def nvrtcGetProgramLog(self, prog: Program, log: bytes) -> Any:  # noqa: ARG002
        _overwrite(log, _LOG)
        return (CompilerError.NVRTC_SUCCESS,)

    def nvrtcDestroyProgram(self, prog: Program) -> Any:
        self.remove_handle(prog)
        return (CompilerError.NVRTC_SUCCESS,)

    # CUDA's driver

    def cuModuleLoadData(self, image: bytes) -> Any:
        if not image.startswith(_MAGIC):
            return DriverError.CUDA_ERROR_INVALID_IMAGE, None
        architecture, *_ = json.loads(image[len(_MAGIC) :])
        context = self.current()
        if context is None or architecture != "sm_{}{}".format(*self.capabilities[context.device]):
            return DriverError.CUDA_ERROR_NO_BINARY_FOR_GPU, None
        return _SUCCESS, self.add_handle(Module(context))

    def cuModuleGetFunction(self, hmod: Module, name: bytes) -> Any:
        if not host_kernels().argument_bytes(name.decode()):
            return DriverError.CUDA_ERROR_NOT_FOUND, None
        return _SUCCESS, Function(hmod, name.decode())

    def cuModuleUnload(self, hmod: Module) -> Any:
        return (_SUCCESS if self.remove_handle(hmod) == Error.cudaSuccess else DriverError.CUDA_ERROR_INVALID_HANDLE,)

    def cuLaunchKernel(
        self,
        f: Function,
        gridDimX: int,
        gridDimY: int,
        gridDimZ: int,
        blockDimX: int,
        blockDimY: int,
        blockDimZ: int,
        sharedMemBytes: int,
        hStream: int,
        kernelParams: int,
        extra: int,
    ) -> Any:
        if f.module not in self.handles or f.module.context is not self.current():
            self.fault("a kernel is launched whose module is unloaded or another context's")
            return (DriverError.CUDA_ERROR_INVALID_HANDLE,)
        if min(gridDimX, gridDimY, blockDimX) < 1 or (gridDimZ, blockDimY, blockDimZ, extra) != (1, 1, 1, 0):
            return (DriverError.CUDA_ERROR_INVALID_VALUE,)
        structure = FitArguments if f.name.startswith("fit_") else MergeArguments
        address_of_argument = ctypes.c_void_p.from_address(kernelParams).value or 0
        given = ctypes.string_at(address_of_argument, host_kernels().argument_bytes(f.name))
        argument = structure.from_buffer_copy(given)  # the caller may change it after the call

        def run() -> None:
            for _, address in _pointers(argument):
                self.block(address)  # reports a fault if it has been freed
            copied = ctypes.addressof(argument)
            if problem := host_kernels().launch(f.name, (gridDimX, gridDimY), blockDimX, sharedMemBytes, copied):
                self.fault(f"{f.name}: {problem}")

        reads, writes = self._uses(argument)
        if None in reads or None in writes:
            self.fault(f"{f.name} is given memory that is not CUDA's")
            return (DriverError.CUDA_ERROR_INVALID_VALUE,)
        work = Work(run, [block for block in reads if block], [block for block in writes if block])
        return (DriverError(int(self.enqueue(hStream, work))),)

    def _uses(self, argument: ctypes.Structure) -> tuple[list[Block | None], list[Block | None]]:
        """Return the memory that a kernel reads, and what it writes."""
        reads: list[Block | None] = []
        writes: list[Block | None] = []
        for name, address in _pointers(argument):
            (writes if name in _WRITTEN else reads).append(self.block(address))
        return reads, writes


def _overwrite(target: bytes, source: bytes) -> None:
    """Write into a bytes object, as CUDA's bindings do."""
    ctypes.memmove(ctypes.cast(ctypes.c_char_p(target), ctypes.c_void_p), source, len(source))


def _pointers(structure: ctypes.Structure) -> Iterator[tuple[str, int]]:
    """Yield the names and values of the pointers in a structure and its nested structures."""
    for name, *_ in structure._fields_:
        value = getattr(structure, name)
        if isinstance(value, ctypes.Structure):
            yield from _pointers(value)
        elif getattr(type(structure), name).size == ctypes.sizeof(ctypes.c_void_p) and isinstance(value, int):
            yield name, value
