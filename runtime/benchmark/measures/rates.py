"""Compares an artifact's inference with the limits of this machine, which are measured here."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import cache

from pem_edge.runtime.artifacts.manifest import Manifest
from pem_edge.runtime.artifacts.sections import Work
from pem_edge.runtime.benchmark.measures.limits import node_work, roofline
from pem_edge.runtime.benchmark.measures.limits.node_work import NodeWork
from pem_edge.runtime.benchmark.measures.limits.roofline import MachineLimits
from pem_edge.runtime.benchmark.schema import Rate

_RUNS = 10
_COPIED = 1 << 27  # bytes, more than caches hold


def on_gpu(work: Work, milliseconds: float) -> Rate:
    """Return the rate of ``work`` in ``milliseconds``, and the bandwidth of the GPU. Raises BackendError."""
    return Rate(
        macs=work.macs_total,
        reached=1000 * work.macs_total / milliseconds,
        bytes_moved=work.weight_bytes + work.activation_bytes,
        bandwidth=gpu_bandwidth(),
    )


def on_cpu(
    manifest: Manifest, work: Work, milliseconds: float, nodes: Sequence[NodeWork], limits: MachineLimits
) -> Rate:
    """Return the rate of ``work`` in ``milliseconds``, and the limits of the machine.

    Args:
        manifest: The manifest of the artifact.
        work: The work of the graph.
        milliseconds: The time of inference.
        nodes: The work of each node, as far as it is known.
        limits: The limits, measured in the backend that ran the artifact.
    """
    fastest = limits.compute[manifest.precision]
    limit = least_milliseconds(manifest, work, nodes, limits)
    return Rate(
        macs=work.macs_total,
        reached=1000 * work.macs_total / milliseconds,
        convolution=fastest.convolution,
        matrix=fastest.matrix,
        limit=limit,
        fraction=limit / milliseconds,
        counted=sum(node.macs for node in nodes) / work.macs_total if nodes and work.macs_total else None,
        doubt=roofline.doubt(limit / milliseconds),
        bytes_moved=work.weight_bytes + work.activation_bytes,
        bandwidth=limits.bandwidths[-1][1],
    )


def least_milliseconds(manifest: Manifest, work: Work, nodes: Sequence[NodeWork], limits: MachineLimits) -> float:
    """Return the limit of inference: that of its nodes one after another, or of the graph's arithmetic if it is higher.

    That of the graph alone is lower, but also holds where the backend does not tell of its nodes' tensors.
    """
    share = manifest.quantization.share_of_all if manifest.quantization else 1.0
    graph = node_work.of_graph(work, manifest.precision, share)
    return max(roofline.least_milliseconds(works, limits) for works in (nodes, graph))


@cache
def gpu_bandwidth() -> float:
    """Return bytes per second that the GPU reads and writes when it copies within its memory. Raises BackendError."""
    # Needs cuda-bindings, which only GPU machines have.
    from pem_edge.runtime.backends.cuda.driver import Gpu, Memory
    from pem_edge.runtime.backends.cuda.streams import Stream

    with (
        Gpu().current(),
        closing(Memory(_COPIED)) as source,
        closing(Memory(_COPIED)) as target,
        closing(Stream()) as stream,
    ):

        def copies() -> None:
            for _ in range(_RUNS):
                stream.copy(target.address, source.address, _COPIED)
            stream.synchronize()

        return 2 * _RUNS * _COPIED / _median(copies)


def _median(call: Callable[[], object]) -> float:
    """Return the median seconds of a call, after two that warm up."""
    seconds = []
    for _ in range(2 + _RUNS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[2:])
