"""Runs a deserialized engine on a stream, with buffers for the largest shapes and a context and graph per shape."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.backends.contract import Shape
from pem_edge.runtime.backends.cuda.device_arrays import DeviceArray
from pem_edge.runtime.backends.cuda.driver import CudaError, Gpu, HostView, Memory
from pem_edge.runtime.backends.cuda.pinned_pool import PinnedPool
from pem_edge.runtime.backends.cuda.streams import Event, Graph, Stream
from pem_edge.runtime.backends.tensorrt.interface import IExecutionContext
from pem_edge.runtime.errors import BackendError

_MAX_PLANS = 4
"""Maximum number of shapes whose plans are kept."""


class Contexts(Protocol):
    """Creates an engine's execution contexts, which do not allocate their scratch memory themselves."""

    records: bool
    """Whether `Plan` should record a context's runs as a CUDA graph; if not, the context records graphs itself."""

    def create(self) -> IExecutionContext | None:
        """Return a new context, or None if there is no memory for it."""

    def handle_first_run(self) -> None:
        """Do what should follow the first run of a context."""

    def close(self) -> None:
        """Release the engine."""


class Plan:
    """An execution context for images of one shape.

    From the second run on, the context's runs are replayed as a CUDA graph. The graph depends on the shape, which
    therefore must not change.

    Args:
        context: The context, whose input shape and tensor addresses are set.
        outputs: The names of the outputs.
        records: Whether to record a graph, see `Contexts.records`.
        pop_error: Returns TensorRT's latest error.

    Attributes:
        runs: The number of runs so far.
        outputs: The shapes of the outputs by name.
    """

    def __init__(
        self, context: IExecutionContext, outputs: tuple[str, ...], records: bool, pop_error: Callable[[], str]
    ) -> None:
        self._context = context
        self._pop_error = pop_error
        self._records = records
        self._graph: Graph | None = None
        self.runs = 0
        self.outputs: dict[str, Shape] = {name: tuple(context.get_tensor_shape(name)) for name in outputs}

    def launch(self, stream: Stream) -> None:
        """Enqueue a run on ``stream``.

        Raises:
            BackendError: If the run cannot be enqueued.
        """
        if self.runs == 1 and self._records:  # the first run does setup work that cannot be recorded
            with suppress(BackendError):
                self._graph = stream.record(lambda: self._enqueue(stream))
        if self._graph is None:
            self._enqueue(stream)
        else:
            stream.launch(self._graph)
        self.runs += 1

    def close(self) -> None:
        """Free the graph and the context. The stream must have been synchronized."""
        if self._graph is not None:
            self._graph.close()
        del self._context

    def _enqueue(self, stream: Stream) -> None:
        if not self._context.execute_async_v3(int(stream)):
            raise BackendError(
                f"TensorRT cannot run ({self._pop_error()}): look at the GPU with nvidia-smi, start again"
            )


class Session:
    """Runs an engine. Not thread-safe. Arrays that were returned stay valid after `close`.

    Args:
        gpu: The GPU that the engine was loaded on.
        contexts: Creates the engine's execution contexts.
        scratch: Bytes of scratch memory that a context needs.
        dtypes: The types of the engine's tensors by name, the input first.
        sizes: The maximum size of each tensor in bytes.
        pop_error: Returns TensorRT's latest error.

    Attributes:
        stream: The stream that the engine runs on.
        dtypes: The types of the engine's tensors by name, the input first.

    Raises:
        BackendError: If there is not enough memory.
    """

    def __init__(
        self,
        gpu: Gpu,
        contexts: Contexts,
        scratch: int,
        dtypes: dict[str, np.dtype[np.generic]],
        sizes: dict[str, int],
        pop_error: Callable[[], str],
    ) -> None:
        self._gpu, self._contexts, self._pop_error, self.dtypes = gpu, contexts, pop_error, dtypes
        self._input, *outputs = dtypes
        self._plans: OrderedDict[Shape, Plan] = OrderedDict()
        with gpu.current(), ExitStack() as cleanup:
            own = cleanup.enter_context
            cleanup.callback(contexts.close)
            self.stream = own(closing(Stream()))
            self._event = own(closing(Event()))
            self._staging = own(closing(Memory(sizes[self._input], pinned=True)))
            # All contexts share the scratch memory, as they run one after another.
            self._scratch = own(closing(Memory(max(scratch, 1))))
            self._buffers = {name: own(closing(Memory(size))) for name, size in sizes.items()}
            self._pools = {name: own(closing(PinnedPool(gpu))) for name in outputs}
            cleanup.callback(self._drop_plans)
            self._cleanup = cleanup.pop_all()

    def plan(self, shape: Shape) -> Plan:
        """Return the plan for images of ``shape``, (N, H, W, 3).

        Raises:
            BackendError: If the engine does not accept that shape.
        """
        if shape not in self._plans:
            with self._gpu.current():
                if len(self._plans) == _MAX_PLANS:
                    self.stream.synchronize()  # the plan's last run may not be over
                    self._plans.popitem(last=False)[1].close()
                self._plans[shape] = self._new_plan(shape)
        self._plans.move_to_end(shape)
        return self._plans[shape]

    def run(self, plan: Plan, images: NDArray[np.uint8] | DeviceArray) -> list[NDArray[np.generic]]:
        """Run a batch, and return the outputs, in arrays that the caller may keep."""
        with self.work(plan):
            self._upload(images)
            plan.launch(self.stream)
            arrays = self.download(plan)
        return self.keep(arrays)

    @contextmanager
    def work(self, plan: Plan) -> Iterator[None]:
        """Let the block enqueue work for ``plan`` on the stream, and wait for it at the end of the block."""
        with self._gpu.current():
            try:
                yield
            finally:  # also after an error, as pending work still reads the images and the staging buffer
                self.stream.synchronize()
            self.complete_first_run(plan)

    def complete_first_run(self, plan: Plan) -> None:
        """Wait for the first run of ``plan``, and do what should follow it; do nothing after other runs."""
        if plan.runs == 1:
            self.stream.synchronize()
            self._contexts.handle_first_run()

    def download(self, plan: Plan) -> dict[str, NDArray[np.generic]]:
        """Enqueue copies of the outputs to the host, and return the arrays by name, which the copies will fill."""
        arrays = {name: self._pools[name].allocate(shape, self.dtypes[name]) for name, shape in plan.outputs.items()}
        for name, array in arrays.items():
            self.stream.copy(array.ctypes.data, self._buffers[name].address, array.nbytes)
        return arrays

    def keep(self, arrays: dict[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """Return what `download` returned as arrays that a caller may keep. The stream must have been synchronized."""
        return [self._pools[name].keep(array) for name, array in arrays.items()]

    def wait_for(self, stream: int | None) -> None:
        """Make later work on the session's stream wait for the pending work of another one; None for no stream."""
        if stream is not None:
            self._event.record(stream)
            self.stream.wait_for(self._event)

    def address(self, tensor: str) -> int:
        """Return the address of a tensor on the GPU."""
        return self._buffers[tensor].address

    def call_on_close(self, close: Callable[[], object]) -> None:
        """Have `close` call ``close`` before it frees anything."""
        self._cleanup.callback(close)

    def close(self) -> None:
        """Free everything. May be called more than once, from any thread."""
        with suppress(CudaError), self._gpu.current():
            self._cleanup.close()

    def _new_plan(self, shape: Shape) -> Plan:
        context = self._contexts.create()
        if context is None:
            raise BackendError(
                f"TensorRT has no context for images of shape {shape} ({self._pop_error()}): free memory"
            )
        context.set_device_memory(self._scratch.address, self._scratch.size)
        if not context.set_input_shape(self._input, shape):
            raise BackendError(f"TensorRT refuses images of shape {shape} ({self._pop_error()}): resize them")
        for name, buffer in self._buffers.items():
            context.set_tensor_address(name, buffer.address)
        return Plan(context, tuple(self._pools), self._contexts.records, self._pop_error)

    def _upload(self, images: NDArray[np.uint8] | DeviceArray) -> None:
        if isinstance(images, DeviceArray):
            self.wait_for(images.stream)
            source, size = images.address, int(np.prod(images.shape))
        else:
            staging = HostView(self._staging.address, images.shape, np.uint8).array()
            np.copyto(staging, images)
            source, size = self._staging.address, images.nbytes
        self.stream.copy(self._buffers[self._input].address, source, size)

    def _drop_plans(self) -> None:
        while self._plans:
            self._plans.popitem()[1].close()
