"""Loading an artifact: its manifest is checked, a backend is chosen, and the two become a segmenter."""

from __future__ import annotations

from pathlib import Path

from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact as artifacts
from pem_edge.runtime.backends import Settings
from pem_edge.runtime.inference.segmenter import Segmenter, chosen_thresholds


def load(
    path: str | Path,
    backend: str | None = None,
    *,
    score_threshold: float | None = None,
    overlap_threshold: float | None = None,
    threads: int | None = None,
) -> Segmenter:
    """Load an exported model.

    Args:
        path: The model file, or "demo" for the model that comes with the package.
        backend: The name of a backend; by default the fastest that is installed and runs the model.
        score_threshold: The least class probability of a segment, 0 to 1; by default the manifest's.
        overlap_threshold: The least visible share of a segment's mask, 0 to 1; by default the manifest's.
        threads: The number of CPU threads that run the model; by default all that this process may use.

    Raises:
        ArtifactError: If the model file is missing or is not an exported model.
        ManifestError: If the manifest is missing, damaged, newer than this version, or another file's.
        BackendError: If no backend can run the model.
        InputError: If a threshold is out of range.
    """
    artifact = artifacts.read(path)
    thresholds = chosen_thresholds(artifact.manifest.thresholds, score_threshold, overlap_threshold)
    return Segmenter(backends.create(backend, artifact, Settings(threads=threads)), thresholds)
