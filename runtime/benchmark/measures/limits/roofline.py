"""Says how long a node must take at least on this machine, and what keeps it from being faster.

The bound is that of the roofline model (https://doi.org/10.1145/1498765.1498785), with the bandwidths of the caches
(https://doi.org/10.1109/L-CA.2013.6): as much of a node's tensors as a cache holds may be there since the node before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pem_edge.runtime.benchmark.measures.limits import bandwidth, compute
from pem_edge.runtime.benchmark.measures.limits.compute import ComputeRates
from pem_edge.runtime.benchmark.measures.limits.node_work import NodeWork
from pem_edge.runtime.inference.backend import SegmenterBackend
from pem_edge.runtime.machine import usable_cpus

COMPUTE, MEMORY, OVERHEAD = "compute", "memory", "overhead"

DOUBT = (
    "faster than its limit: the limit was measured while the machine was slower, or the backend computes or moves less "
    "than is counted (Winograd's convolutions, results in the place of operands)"
)
"""The reason why a fraction of a limit can be above 1."""

LEAST_FRACTION = 0.25
"""The fraction of its limit below which what holds a node back is overhead, neither arithmetic nor memory."""


@dataclass(frozen=True)
class MachineLimits:
    """The highest rates of a backend and its machine.

    Attributes:
        compute: The rates by precision, "fp32" among them.
        bandwidths: Working sets in bytes, ascending, each with its bytes per second.
    """

    compute: Mapping[str, ComputeRates]
    bandwidths: Sequence[tuple[int, float]]

    def compute_seconds(self, macs: int, precision: str) -> float:
        """Return the least seconds of multiply-accumulates, of which the fastest convolution or product tells.

        No precision counts as slower than single precision, in which a backend may compute instead.
        """
        return macs / max(self.compute[each].highest for each in ("fp32", precision))

    def memory_seconds(self, nbytes: int) -> float:
        """Return the least seconds of reading and writing ``nbytes``.

        Up to the second size they may all be in what held the first, the rest up to the third in what held the second,
        and so on.
        """
        ends = [*(size for size, _ in self.bandwidths[1:]), nbytes]
        seconds, before = 0.0, 0
        for (_, rate), end in zip(self.bandwidths, ends, strict=True):
            seconds += max(0, min(end, nbytes) - before) / rate
            before = end
        return seconds


@dataclass(frozen=True)
class NodeLimit:
    """The least milliseconds that a node can take, by the bound that it follows from.

    Attributes:
        compute: The milliseconds of its multiply-accumulates.
        memory: The milliseconds of its bytes.
    """

    compute: float
    memory: float

    @property
    def milliseconds(self) -> float:
        """The larger of both."""
        return max(self.compute, self.memory)

    def bound(self, milliseconds: float) -> str:
        """Return what bounds a node that takes ``milliseconds``."""
        if self.milliseconds < LEAST_FRACTION * milliseconds:
            return OVERHEAD
        return COMPUTE if self.compute >= self.memory else MEMORY


def measure(backend: SegmenterBackend, precisions: Iterable[str], *, anew: bool = False) -> MachineLimits:
    """Return the limits of a backend that runs on the CPU.

    Args:
        backend: The backend.
        precisions: The precisions that are needed.
        anew: Whether to measure the rates once more. The higher ones count.

    Raises:
        BackendError: If the backend cannot load ONNX models.
    """
    threads = int(backend.settings().get("threads", 0)) or usable_cpus()
    return MachineLimits(
        compute={each: compute.rates(backend, each, anew=anew) for each in sorted({"fp32", *precisions})},
        bandwidths=bandwidth.bandwidths(threads, anew=anew),
    )


def limit(work: NodeWork, limits: MachineLimits) -> NodeLimit:
    """Return the limit of a node."""
    return NodeLimit(
        compute=1000 * limits.compute_seconds(work.macs, work.precision),
        memory=1000 * limits.memory_seconds(work.nbytes),
    )


def least_milliseconds(works: Iterable[NodeWork], limits: MachineLimits) -> float:
    """Return the least time that nodes can take one after another."""
    return sum(limit(work, limits).milliseconds for work in works)


def doubt(fraction: float) -> str | None:
    """Return why a fraction of a limit is not to be trusted, or None if it is at most 1."""
    return DOUBT if fraction > 1 else None
