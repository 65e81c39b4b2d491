"""Profiles a model by node, as the backend runs them after its own rewriting of the graph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.benchmark.measures.limits import node_work, roofline
from pem_edge.runtime.benchmark.measures.limits.roofline import MachineLimits
from pem_edge.runtime.benchmark.schema import Layer, Profile
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.inference.backend import SegmenterBackend
from pem_edge.runtime.inference.profiled_nodes import Nodes, ProfiledNode

RUNS = 10
COSTLIEST = 10
_UNKNOWN = "unknown"


def nodes(backend: SegmenterBackend, images: NDArray[np.uint8]) -> Nodes:
    """Return the nodes, the costliest first, with their times in ``RUNS`` runs of a batch, uint8 (N, H, W, 3).

    Raises:
        BackendError: If the backend has no profiler, or the profiler fails.
    """
    try:
        found = backend.profile(images, RUNS)
    except BackendError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise BackendError(
            f"{backend.name} cannot profile {backend.artifact.model} ({reason}): leave the profile out"
        ) from error
    return sorted(found, key=lambda node: node.milliseconds, reverse=True)


def summary(found: Nodes, limits: MachineLimits | None) -> Profile:
    """Return the costliest nodes, and the time of all nodes by type and, if there are limits, by what bounds them.

    Args:
        found: All nodes, the costliest first.
        limits: The limits of the machine.
    """
    total = sum(node.milliseconds for node in found)
    layers = [_layer(node, total, limits) for node in found]
    return Profile(
        layers=tuple(layers[:COSTLIEST]),
        by_type=_sum((layer.type, layer.milliseconds) for layer in layers),
        total=total,
        by_bound=_sum((layer.bound or _UNKNOWN, layer.milliseconds) for layer in layers) if limits else {},
    )


def _layer(node: ProfiledNode, total: float, limits: MachineLimits | None) -> Layer:
    share = node.milliseconds / total if total else 0.0
    layer = Layer(name=node.name, type=node.type, milliseconds=node.milliseconds, share=share)
    work = node_work.count(node)
    if limits is None or work is None or node.milliseconds == 0:
        return layer
    limit = roofline.limit(work, limits)
    fraction = limit.milliseconds / node.milliseconds
    return msgspec.structs.replace(
        layer,
        macs=work.macs,
        bytes_moved=work.nbytes,
        limit=limit.milliseconds,
        fraction=fraction,
        bound=limit.bound(node.milliseconds),
        doubt=roofline.doubt(fraction),
    )


def _sum(times: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the milliseconds of each kind, the largest first."""
    found: dict[str, float] = defaultdict(float)
    for kind, milliseconds in times:
        found[kind] += milliseconds
    return dict(sorted(found.items(), key=lambda item: item[1], reverse=True))
