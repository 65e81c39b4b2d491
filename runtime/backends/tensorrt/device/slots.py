"""Slots: memory and events of calls in flight, so that transfers of one call overlap the work of its neighbors."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress

from pem_edge.runtime.backends.cuda.driver import CudaError, GrowingMemory
from pem_edge.runtime.backends.cuda.streams import Interval, Stream

STAGES = ("host to device", "preprocess", "inference", "postprocess", "device to host")
"""The stages of a call, in order."""


class Slot:
    """What a call in flight has of its own.

    Attributes:
        source: Uploaded images, on the GPU.
        found: Reports and maps, on the GPU.
        on_host: The same, in page-locked memory.
        stages: When each of `STAGES` ran.
        held: The images that pending work reads, which keeps them alive; empty if no work is pending.
    """

    def __init__(self) -> None:
        self.held: Sequence[object] = ()
        with ExitStack() as cleanup:
            own = cleanup.enter_context
            self.source, self.found = own(closing(GrowingMemory())), own(closing(GrowingMemory()))
            self.on_host = own(closing(GrowingMemory(pinned=True)))
            self.stages = {name: own(closing(Interval())) for name in STAGES}
            self._cleanup = cleanup.pop_all()

    def close(self) -> None:
        """Free memory and events, and forget the images. No work may be pending."""
        self.held = ()
        self._cleanup.close()


class Call:
    """A call in flight, which occupies a slot until `end`, or until the call is dropped.

    Args:
        slot: The slot.
        idle: The slots to which ``slot`` returns.
        images: The images that the call's work reads.
    """

    def __init__(self, slot: Slot, idle: deque[Slot], images: Sequence[object]) -> None:
        self.slot = slot
        slot.held = images
        # Python may drop a call in any thread and at any point, so there is no lock; appending to a deque is atomic.
        self._give_back = weakref.finalize(self, idle.append, slot)
        self._give_back.atexit = False

    def end(self) -> None:
        """Give the slot back. The call's work must have finished."""
        self.slot.held = ()
        self._give_back()


class Slots:
    """Gives each call in flight a slot, used again afterward; there are as many as calls were in flight at a time.

    Args:
        streams: The streams on which calls enqueue their work.
    """

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._streams = streams
        self._all: list[Slot] = []
        self._idle: deque[Slot] = deque()

    def begin(self, images: Sequence[object]) -> Call:
        """Return a call whose work will read ``images``. Not thread-safe.

        Raises:
            BackendError: If there is not enough memory.
        """
        if not self._idle:
            self._all.append(Slot())
            self._idle.append(self._all[-1])
        if self._idle[0].held:  # its last call failed, or was dropped
            self._synchronize()
        return Call(self._idle.popleft(), self._idle, images)

    def settle(self) -> None:
        """Wait for all work, as far as the GPU still works."""
        with suppress(CudaError):
            self._synchronize()

    def close(self) -> None:
        """Wait for all work, and free the slots."""
        self.settle()
        for slot in self._all:
            slot.close()

    def _synchronize(self) -> None:
        for stream in self._streams:
            stream.synchronize()
