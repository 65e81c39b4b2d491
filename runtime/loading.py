"""Loading an artifact as a segmenter."""

from __future__ import annotations

import os
from pathlib import Path

from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.manifest import Task, Thresholds, choose_task
from pem_edge.runtime.backends import Settings
from pem_edge.runtime.errors import ArgumentError, ArtifactError, VerificationError
from pem_edge.runtime.inference.segmenter import Segmenter
from pem_edge.runtime.inference.thresholds import choose_thresholds
from pem_edge.runtime.outside.printable import brief, described
from pem_edge.runtime.verification.standing import require_standing


def load(
    path: str | Path | Artifact,
    backend: str | None = None,
    *,
    score_threshold: float | None = None,
    overlap_threshold: float | None = None,
    threads: int | None = None,
    bf16: bool = False,
    task: Task | None = None,
) -> Segmenter:
    """Load an exported model.

    Example:
        >>> import pem_edge
        >>> segmenter = pem_edge.load("demo")  # or a model file, such as "out/pem-stdc1.onnx"
        >>> result = segmenter("demo:street")  # or an image, such as "street.jpg"
        >>> with pem_edge.load("out/pem-stdc1.onnx", score_threshold=0.5) as segmenter:
        ...     results = segmenter(["street.jpg", "crossing.jpg"])

    Args:
        path: The model file, or "demo" for the model that comes with the package; or an artifact that was read.
        backend: The name of a backend; None for the preferred one of those that are installed and can run the model.
        score_threshold: The minimum class probability of a segment and the minimum score of an instance that results
            show, 0 to 1; None for the manifest's value, or for another task than the manifest's what is usual there.
        overlap_threshold: The minimum fraction of a segment's mask that must remain visible, 0 to 1; None for the
            manifest's value.
        threads: The number of CPU threads for the model; None for one per core, or fewer if that is faster or a quota
            of CPU time allows fewer.
        bf16: Whether to compute in bfloat16, which is faster and less precise; OpenVINO can, on x86 CPUs that do so
            themselves (AMX, AVX-512 BF16). BackendError elsewhere.
        task: What results show and save: "panoptic", "semantic" or "instance"; None for what the model was trained for.

    Returns:
        A segmenter, which takes images and returns results. Close it, or use it in a ``with`` block, to free the model.

    Raises:
        ArtifactError: If ``path`` is no path, or the model file is missing or is not an exported model.
        ManifestError: If the manifest is missing, damaged, newer than this version, or belongs to another file.
        BackendError: If no backend can run the model.
        VerificationError: If the model was found to compute something else than its ONNX model where it is to run.
        InputError: If a threshold or a number of threads is out of range, ``bf16`` is not a bool, or there is no such
            task.
    """
    if not isinstance(path, (str, os.PathLike, Artifact)):
        raise ArtifactError(f"the model is {brief(path)}, expected a path such as out/pem.onnx: give a str or a Path")
    if not isinstance(backend, (str, type(None))):
        names = ", ".join(backends.BACKENDS)
        raise ArgumentError(f"backend is {described(backend)}, expected a name: give one of {names}, or None")
    found = path if isinstance(path, Artifact) else artifact.read(path)
    trained, task = found.manifest.task, choose_task(task, found.manifest.task)
    defaults = found.manifest.thresholds if task == trained else Thresholds.usual(task)
    thresholds = choose_thresholds(defaults, score_threshold, overlap_threshold)
    settings = Settings(threads=threads, bf16=bf16)
    try:
        created = backends.create(backend, found, settings)
    except ArtifactError:
        again = artifact.read(found.model)
        if again.sha256 == found.sha256:
            raise
        created = backends.create(backend, again, settings)  # the artifact was replaced meanwhile
    try:
        require_standing(created)
    except VerificationError:
        created.close()
        raise
    return Segmenter(created, thresholds, task)
