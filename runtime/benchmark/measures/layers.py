"""Profiles a model by node, as the backend runs them after its own rewriting of the graph."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.benchmark.schema import Layer, Profile
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.inference.backend import Nodes, SegmenterBackend

RUNS = 10
COSTLIEST = 10


def profile(backend: SegmenterBackend, images: NDArray[np.uint8]) -> Profile:
    """Return the profile of ``RUNS`` runs of a batch of images, uint8 (N, H, W, 3).

    Raises:
        BackendError: If the backend has no profiler, or the profiler fails.
    """
    try:
        return summary(backend.profile(images, RUNS))
    except BackendError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise BackendError(
            f"{backend.name} cannot profile {backend.artifact.model} ({reason}): leave the profile out"
        ) from error


def summary(nodes: Nodes) -> Profile:
    """Return the costliest nodes, and the time of all nodes by type."""
    total = sum(nodes.values())
    by_type: dict[str, float] = defaultdict(float)
    for (_, kind), milliseconds in nodes.items():
        by_type[kind] += milliseconds
    costliest = sorted(nodes.items(), key=lambda item: item[1], reverse=True)[:COSTLIEST]
    return Profile(
        layers=tuple(
            Layer(name=name, type=kind, milliseconds=milliseconds, share=milliseconds / total if total else 0.0)
            for (name, kind), milliseconds in costliest
        ),
        by_type=dict(sorted(by_type.items(), key=lambda item: item[1], reverse=True)),
        total=total,
    )
