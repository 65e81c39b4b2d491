"""Streams of a GPU, events that order and time their work, and graphs of recorded work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

from pem_edge.runtime.backends.cuda.driver import CudaError, call, constant

_NON_BLOCKING = 1
"""``cudaStreamNonBlocking``: the stream and the default stream do not wait for each other."""

_DEFAULT, _NO_TIMING = 0, 2
"""``cudaEventDefault``, ``cudaEventDisableTiming``."""


class Stream:
    """A stream. ``int`` returns its handle."""

    def __init__(self) -> None:
        self._stream = call("cudaStreamCreateWithFlags", _NON_BLOCKING)

    def __int__(self) -> int:
        return int(self._stream)

    def copy(self, target: int, source: int, size: int) -> None:
        """Enqueue a copy of ``size`` bytes between addresses on the GPU or in page-locked host memory."""
        call("cudaMemcpyAsync", target, source, size, constant("cudaMemcpyKind", "cudaMemcpyDefault"), self._stream)

    def wait_for(self, event: Event) -> None:
        """Make later work on this stream wait for what was enqueued before ``event`` was recorded."""
        call("cudaStreamWaitEvent", self._stream, event.handle, 0)

    def record(self, enqueue: Callable[[], None]) -> Graph:
        """Return the work that ``enqueue`` enqueues on this stream as a graph, without doing it.

        Raises:
            BackendError: If ``enqueue`` does, or its work cannot be recorded.
        """
        # In the stricter modes, memory freed meanwhile by Python's garbage collector would invalidate the recording.
        mode = constant("cudaStreamCaptureMode", "cudaStreamCaptureModeRelaxed")
        call("cudaStreamBeginCapture", self._stream, mode)
        try:
            enqueue()
        except BaseException:
            with suppress(CudaError):  # the recording must end in any case
                call("cudaGraphDestroy", call("cudaStreamEndCapture", self._stream))
            raise
        graph = call("cudaStreamEndCapture", self._stream)
        try:
            return Graph(call("cudaGraphInstantiate", graph, 0))
        finally:
            call("cudaGraphDestroy", graph)

    def launch(self, graph: Graph) -> None:
        """Enqueue the work of a graph."""
        call("cudaGraphLaunch", graph.executable, self._stream)

    def synchronize(self) -> None:
        """Wait until the stream has finished all its work."""
        call("cudaStreamSynchronize", self._stream)

    def close(self) -> None:
        """Free the stream, which must have been synchronized."""
        call("cudaStreamDestroy", self._stream)


class Graph:
    """Work that was recorded once and is launched as a whole, see `Stream.record`.

    Attributes:
        executable: CUDA's graph, ready for launch.
    """

    def __init__(self, executable: object) -> None:
        self.executable = executable

    def close(self) -> None:
        """Free the graph."""
        call("cudaGraphExecDestroy", self.executable)


class Event:
    """A moment in the work of a stream.

    Args:
        timed: Whether the moment's time is needed.

    Attributes:
        handle: CUDA's event.
    """

    def __init__(self, *, timed: bool = False) -> None:
        self.handle: object = call("cudaEventCreateWithFlags", _DEFAULT if timed else _NO_TIMING)

    def record(self, stream: int) -> None:
        """Make this the moment when the stream of that handle has finished what it has been given so far."""
        call("cudaEventRecord", self.handle, stream)

    def synchronize(self) -> None:
        """Wait for the moment."""
        call("cudaEventSynchronize", self.handle)

    def close(self) -> None:
        """Free the event."""
        call("cudaEventDestroy", self.handle)


class Interval:
    """A part of a stream's work, whose time is measured by the GPU.

    Attributes:
        end: The moment when the work has been done.
    """

    def __init__(self) -> None:
        with ExitStack() as cleanup:
            self._start = cleanup.enter_context(closing(Event(timed=True)))
            self.end = cleanup.enter_context(closing(Event(timed=True)))
            self._cleanup = cleanup.pop_all()

    @contextmanager
    def on(self, stream: Stream) -> Iterator[None]:
        """Measure what the block enqueues on ``stream``."""
        self._start.record(int(stream))
        yield
        self.end.record(int(stream))

    def milliseconds(self) -> float:
        """Return the time between start and end, which must have been waited for."""
        return float(call("cudaEventElapsedTime", self._start.handle, self.end.handle))

    def close(self) -> None:
        """Free the events."""
        self._cleanup.close()
