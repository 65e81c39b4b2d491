"""A deserialized engine at work: one stream, buffers for its largest sizes, a context and a graph for each shape."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Protocol, SupportsInt

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.backends.cuda.device_arrays import DeviceArray
from pem_edge.runtime.backends.cuda.driver import CudaError, Gpu, Graph, HostView, Memory, call, copy
from pem_edge.runtime.backends.cuda.pinned_pool import PinnedPool
from pem_edge.runtime.backends.tensorrt.interface import IExecutionContext
from pem_edge.runtime.errors import BackendError

_NON_BLOCKING = 1  # cudaStreamNonBlocking: the default stream's work and this one's do not wait for each other
_NO_TIMING = 2  # cudaEventDisableTiming
_MOST_SHAPES = 4
Shape = tuple[int, ...]


class Contexts(Protocol):
    """Makes an engine's execution contexts, whose memory is given to them."""

    records: bool
    """Whether what contexts enqueue is to be recorded; else they do so themselves."""

    def create(self) -> IExecutionContext | None:
        """Return a context, or None if there is no memory for it."""

    def first_run(self) -> None:
        """Take note that a context has run for the first time."""

    def close(self) -> None:
        """Let go of the engine."""


class Plan:
    """A context for images of one shape, from the second run on replayed as a graph.

    A graph holds what its context's shape came to, so no other shape may use the context.
    """

    def __init__(
        self, context: IExecutionContext, outputs: tuple[str, ...], records: bool, reason: Callable[[], str]
    ) -> None:
        self._context = context
        self._reason = reason
        self._records = records
        self._graph: Graph | None = None
        self.runs = 0
        self.outputs: dict[str, Shape] = {name: tuple(context.get_tensor_shape(name)) for name in outputs}

    def launch(self, stream: SupportsInt) -> None:
        """Put a run on ``stream``."""
        if self.runs == 1 and self._records:  # the first run lets TensorRT set up what a graph must not hold
            with suppress(BackendError):
                self._graph = Graph(stream, lambda: self._enqueue(stream))
        if self._graph is None:
            self._enqueue(stream)
        else:
            self._graph.launch(stream)
        self.runs += 1

    def close(self) -> None:
        """Free the graph and the context."""
        if self._graph is not None:
            self._graph.close()
        del self._context

    def _enqueue(self, stream: SupportsInt) -> None:
        if not self._context.execute_async_v3(int(stream)):
            raise BackendError(f"TensorRT cannot run ({self._reason()}): look at the GPU with nvidia-smi, start again")


class Session:
    """Runs an engine, one call at a time: not safe for threads.

    ``dtypes`` and ``sizes``, the largest in bytes, are those of the engine's tensors by name, the input first.
    `close` frees everything; arrays that were returned outlive it.
    """

    def __init__(
        self,
        gpu: Gpu,
        contexts: Contexts,
        scratch: int,
        dtypes: dict[str, np.dtype[np.generic]],
        sizes: dict[str, int],
        reason: Callable[[], str],
    ) -> None:
        self._gpu, self._contexts, self._reason, self.dtypes = gpu, contexts, reason, dtypes
        self._input, *outputs = dtypes
        self._plans: OrderedDict[Shape, Plan] = OrderedDict()
        with gpu.current(), ExitStack() as cleanup:
            cleanup.callback(contexts.close)
            self._stream = call("cudaStreamCreateWithFlags", _NON_BLOCKING)
            cleanup.callback(call, "cudaStreamDestroy", self._stream)
            self._event = call("cudaEventCreateWithFlags", _NO_TIMING)
            cleanup.callback(call, "cudaEventDestroy", self._event)
            self._staging = self._memory(cleanup, sizes[self._input], pinned=True)
            self._scratch = self._memory(cleanup, max(scratch, 1))  # shared, as contexts run one after another
            self._buffers = {name: self._memory(cleanup, size) for name, size in sizes.items()}
            self._pools = {name: PinnedPool(gpu) for name in outputs}
            for pool in self._pools.values():
                cleanup.callback(pool.close)
            cleanup.callback(self._drop_plans)
            self._cleanup = cleanup.pop_all()

    @property
    def stream(self) -> int:
        """The stream's handle."""
        return int(self._stream)

    def plan(self, shape: Shape) -> Plan:
        """Return the plan that runs images of ``shape``. Raises BackendError if the engine does not take it."""
        if shape not in self._plans:
            with self._gpu.current():
                if len(self._plans) == _MOST_SHAPES:
                    self._plans.popitem(last=False)[1].close()
                self._plans[shape] = self._new_plan(shape)
        self._plans.move_to_end(shape)
        return self._plans[shape]

    def run(self, plan: Plan, images: NDArray[np.uint8] | DeviceArray) -> list[NDArray[np.generic]]:
        """Run a batch, and return the outputs as arrays of their own."""
        with self.working(plan):
            self._fetch(images)
            self.launch(plan)
            arrays = self.results(plan)
        return self.keepable(arrays)

    @contextmanager
    def working(self, plan: Plan) -> Iterator[None]:
        """Let the block put work for ``plan`` on the stream; it is done when the block ends."""
        with self._gpu.current():
            try:
                yield
            finally:  # also after an error: neither the images nor the staging buffer may change before that
                self.synchronize()
            if plan.runs == 1:
                self._contexts.first_run()

    def launch(self, plan: Plan) -> None:
        """Put a run of the model on the stream."""
        plan.launch(self._stream)

    def synchronize(self) -> None:
        """Wait for what is on the stream."""
        call("cudaStreamSynchronize", self._stream)

    def results(self, plan: Plan) -> dict[str, NDArray[np.generic]]:
        """Return arrays by name that the outputs are copied to, in the order of the stream."""
        arrays = {name: self._pools[name].lend(shape, self.dtypes[name]) for name, shape in plan.outputs.items()}
        for name, array in arrays.items():
            copy(array.ctypes.data, self._buffers[name].address, array.nbytes, self._stream)
        return arrays

    def keepable(self, results: dict[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """Return `results`, once the stream has been synchronized, as arrays that a caller may keep."""
        return [self._pools[name].keepable(array) for name, array in results.items()]

    def wait_for(self, stream: int | None) -> None:
        """Let what follows on the stream wait for what is on another one."""
        if stream is not None:
            call("cudaEventRecord", self._event, stream)
            call("cudaStreamWaitEvent", self._stream, self._event, 0)

    def address(self, tensor: str) -> int:
        """Return where a tensor lies on the GPU."""
        return self._buffers[tensor].address

    def own(self, close: Callable[[], object]) -> None:
        """Call ``close`` when the session ends, before it frees anything of its own."""
        self._cleanup.callback(close)

    def close(self) -> None:
        """Free everything. May be called more than once, from any thread."""
        with suppress(CudaError), self._gpu.current():
            self._cleanup.close()

    def _new_plan(self, shape: Shape) -> Plan:
        context = self._contexts.create()
        if context is None:
            raise BackendError(f"TensorRT has no context for images of shape {shape} ({self._reason()}): free memory")
        context.set_device_memory(self._scratch.address, self._scratch.size)
        if not context.set_input_shape(self._input, shape):
            raise BackendError(f"TensorRT refuses images of shape {shape} ({self._reason()}): resize them")
        for name, buffer in self._buffers.items():
            context.set_tensor_address(name, buffer.address)
        return Plan(context, tuple(self._pools), self._contexts.records, self._reason)

    def _fetch(self, images: NDArray[np.uint8] | DeviceArray) -> None:
        if isinstance(images, DeviceArray):
            self.wait_for(images.stream)
            source, size = images.address, int(np.prod(images.shape))
        else:
            staging = HostView(self._staging.address, images.shape, np.uint8).array()
            np.copyto(staging, images)
            source, size = self._staging.address, images.nbytes
        copy(self._buffers[self._input].address, source, size, self._stream)

    def _drop_plans(self) -> None:
        while self._plans:
            self._plans.popitem()[1].close()

    @staticmethod
    def _memory(cleanup: ExitStack, size: int, *, pinned: bool = False) -> Memory:
        memory = Memory(size, pinned=pinned)
        cleanup.callback(memory.close)
        return memory
