"""Simulates the part of ``cuda.bindings`` that the backends call."""
# ruff: noqa: N802, N803  # CUDA's names

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from reference.cuda_simulation.kernels import Kernels
from reference.cuda_simulation.machine import Block, Context, Error, Event, Graph, Kind, Stream, Work

_ALIGNMENT = 256


class Cuda(Kernels):
    """CUDA on a simulated `Machine`. Methods whose names begin with "cu" or "nvrtc" stand in for CUDA's functions."""

    def modules(self) -> dict[str, ModuleType]:
        """Return the modules to put into `sys.modules`, by name."""
        runtime, driver, nvrtc = (ModuleType(f"cuda.bindings.{name}") for name in ("runtime", "driver", "nvrtc"))
        for name in dir(self):
            if name.startswith(("cu", "nvrtc")):
                module = nvrtc if name.startswith("nvrtc") else runtime if name.startswith("cuda") else driver
                setattr(module, name, self._locked(getattr(self, name)))
        runtime.cudaMemcpyKind = SimpleNamespace(cudaMemcpyDefault="default")  # type: ignore[attr-defined]
        runtime.cudaStreamCaptureMode = SimpleNamespace(  # type: ignore[attr-defined]
            cudaStreamCaptureModeRelaxed="relaxed"
        )
        runtime.cudaDeviceAttr = SimpleNamespace(  # type: ignore[attr-defined]
            cudaDevAttrComputeCapabilityMajor=0, cudaDevAttrComputeCapabilityMinor=1
        )
        return {module.__name__: module for module in (runtime, driver, nvrtc)}

    # CUDA's driver

    def cuCtxGetCurrent(self) -> Any:
        return Error.cudaSuccess, self.current()

    def cuCtxPushCurrent(self, ctx: Context) -> Any:
        self.contexts().append(ctx)
        return (Error.cudaSuccess,)

    def cuCtxPopCurrent(self) -> Any:
        return Error.cudaSuccess, self.contexts().pop()

    # CUDA's runtime: devices

    def cudaGetDeviceCount(self) -> Any:
        if not self.driver:
            return Error.cudaErrorInsufficientDriver, None
        return Error.cudaSuccess, len(self.names)

    def cudaDriverGetVersion(self) -> Any:
        return Error.cudaSuccess, 13020

    def cudaGetLastError(self) -> Any:
        return (Error.cudaSuccess,)

    def cudaGetDevice(self) -> Any:
        context = self.current()
        return Error.cudaSuccess, context.device if context else 0

    def cudaGetDeviceProperties(self, device: int) -> Any:
        return Error.cudaSuccess, SimpleNamespace(name=self.names[device])

    def cudaDeviceGetAttribute(self, attr: int, device: int) -> Any:
        return Error.cudaSuccess, self.capabilities[device][attr]

    def cudaPointerGetAttributes(self, ptr: int) -> Any:
        block = next((b for b in self.blocks if b.live and b.address <= ptr < b.address + b.data.size), None)
        if block is None:
            return Error.cudaSuccess, SimpleNamespace(type=Kind.cudaMemoryTypeUnregistered, device=-1)
        return Error.cudaSuccess, SimpleNamespace(type=block.kind, device=block.context.device)

    # memory

    def cudaMalloc(self, size: int) -> Any:
        used = sum(b.data.size for b in self.blocks if b.live and b.kind == Kind.cudaMemoryTypeDevice)
        if used + size > self.capacity:
            return Error.cudaErrorMemoryAllocation, 0
        return Error.cudaSuccess, self._allocate(Kind.cudaMemoryTypeDevice, size)

    def cudaMallocHost(self, size: int) -> Any:
        return Error.cudaSuccess, self._allocate(Kind.cudaMemoryTypeHost, size)

    def cudaFree(self, devPtr: int) -> Any:
        if devPtr == 0:
            self.context()
            return (Error.cudaSuccess,)
        return (self._free(Kind.cudaMemoryTypeDevice, devPtr),)

    def cudaFreeHost(self, ptr: int) -> Any:
        return (self._free(Kind.cudaMemoryTypeHost, ptr),)

    def cudaMemcpyAsync(self, dst: int, src: int, count: int, kind: Any, stream: Any) -> Any:
        if kind != "default":
            return (Error.cudaErrorInvalidValue,)
        target, source = self.block(dst, count), self.block(src, count)
        if target is None or source is None:
            self.fault("a copy from or to memory that is not CUDA's")
            return (Error.cudaErrorInvalidValue,)

        def run() -> None:
            self.view(dst, count)[:] = self.view(src, count)

        return (self.enqueue(stream, Work(run, [source], [target])),)

    # streams and events

    def cudaStreamCreateWithFlags(self, flags: int) -> Any:
        if flags != 1:
            self.fault("a stream that waits for the default stream")
        return Error.cudaSuccess, self.add_handle(Stream(self.context()))

    def cudaStreamDestroy(self, stream: Stream) -> Any:
        if stream.pending:
            self.fault("a stream is destroyed with work on it")
        return (self.remove_handle(stream),)

    def cudaStreamSynchronize(self, stream: Any) -> Any:
        target = self.stream(stream)
        if target is None:
            return (Error.cudaErrorInvalidResourceHandle,)
        if target.recorded is not None:
            target.spoiled = True
            return (Error.cudaErrorStreamCaptureUnsupported,)
        self.finish(target)
        self.order.wait_for_stream(target)
        return (Error.cudaSuccess,)

    def cudaEventCreateWithFlags(self, flags: int) -> Any:
        return Error.cudaSuccess, self.add_handle(Event(timed=flags != 2))

    def cudaEventRecord(self, event: Event, stream: Any) -> Any:
        def run() -> None:
            event.time = time.perf_counter()

        event.work = Work(run)
        return (self.enqueue(stream, event.work),)

    def cudaEventSynchronize(self, event: Event) -> Any:
        if event.work is not None:
            self._finish(event.work)
            self.order.wait(event.work.end)
        return (Error.cudaSuccess,)

    def cudaEventElapsedTime(self, start: Event, end: Event) -> Any:
        if not (start.timed and end.timed and start.work and end.work):
            return Error.cudaErrorInvalidResourceHandle, 0.0
        if not (start.work.done and end.work.done):
            return Error.cudaErrorNotReady, 0.0
        return Error.cudaSuccess, 1000 * (end.time - start.time)

    def cudaStreamWaitEvent(self, stream: Any, event: Event, flags: int) -> Any:  # noqa: ARG002
        awaited, target = event.work, self.stream(stream)
        if awaited is None or target is None:
            return (Error.cudaSuccess,)
        self.order.hold(target, awaited.end)
        return (self.enqueue(stream, Work(lambda: self._finish(awaited))),)

    def cudaEventDestroy(self, event: Event) -> Any:
        return (self.remove_handle(event),)

    # graphs

    def cudaStreamBeginCapture(self, stream: Stream, mode: str) -> Any:  # noqa: ARG002
        stream.recorded, stream.spoiled = [], False
        return (Error.cudaSuccess,)

    def cudaStreamEndCapture(self, stream: Stream) -> Any:
        works, stream.recorded = stream.recorded, None
        if stream.spoiled or works is None:
            return Error.cudaErrorStreamCaptureInvalidated, None
        return Error.cudaSuccess, self.add_handle(Graph(works))

    def cudaGraphInstantiate(self, graph: Graph, flags: int) -> Any:  # noqa: ARG002
        return Error.cudaSuccess, self.add_handle(Graph(graph.works))

    def cudaGraphDestroy(self, graph: Graph) -> Any:
        return (self.remove_handle(graph),)

    def cudaGraphLaunch(self, graphExec: Graph, stream: Any) -> Any:
        if graphExec not in self.handles:
            self.fault("a graph is launched after it was destroyed")
        self.launches += 1
        for work in graphExec.works:
            self.enqueue(stream, Work(work.run, work.reads, work.writes))
        return (Error.cudaSuccess,)

    def cudaGraphExecDestroy(self, graphExec: Graph) -> Any:
        return (self.remove_handle(graphExec),)

    def _finish(self, work: Work) -> None:
        """Do the work of a stream up to ``work``."""
        for stream in self.streams():
            if work in stream.pending:
                self.finish(stream, work)

    def _allocate(self, kind: Kind, size: int) -> int:
        if size <= 0:
            self.fault("nothing is allocated")
        room = np.full(size + _ALIGNMENT, 0xA5, np.uint8)
        start = -room.ctypes.data % _ALIGNMENT
        self.blocks.append(Block(kind, self.context(), room[start : start + size]))
        return self.blocks[-1].address

    def _free(self, kind: Kind, address: int) -> Error:
        block = next((b for b in self.blocks if b.live and b.kind == kind and b.address == address), None)
        if block is None or block.context is not self.current():
            self.fault("what is freed was freed before, is another kind of memory or another context's")
            return Error.cudaErrorInvalidValue
        if any(block in work.blocks for stream in self.streams() for work in stream.pending):
            self.fault(f"{kind.name} memory is freed while a stream will use it")
        block.live = False
        block.data[:] = 0xDD
        return Error.cudaSuccess

    def _locked(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            with self.lock:
                return function(*arguments)

        return run
