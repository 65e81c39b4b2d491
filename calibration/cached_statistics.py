"""Statistics kept on disk: the same model and images are not calibrated twice."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import onnx

from pem_edge.calibration.activations import tensor_statistics
from pem_edge.calibration.activations.collect import collect
from pem_edge.calibration.activations.tensor_statistics import Statistics
from pem_edge.calibration.graph.index import Graph
from pem_edge.calibration.graph.macs import macs
from pem_edge.calibration.graph.shapes import shapes
from pem_edge.calibration.images.calibration_set import CalibrationSet
from pem_edge.calibration.placement import tensors
from pem_edge.runtime.errors import CalibrationError, OutputError
from pem_edge.runtime.files import cache_folder
from pem_edge.runtime.progress import Say


def statistics(
    model: onnx.ModelProto,
    images: CalibrationSet,
    cache: Path | None = None,
    say: Say = lambda _text: None,
) -> Statistics:
    """Return the statistics of ``model`` over ``images``, computed now or read from a file.

    Args:
        model: A graph in single precision.
        images: The calibration images.
        cache: The file that keeps the statistics; by default one in the user's cache folder, which is used if it is of
            this model and these images.
        say: Takes remarks on progress; a bar goes to standard error.

    Raises:
        CalibrationError: If ``cache`` is of another model or of other images, or a layer computes values that are not
            finite.
        OutputError: If ``cache`` cannot be written.
    """
    fingerprint, wanted = digest(model), tensors(model)
    path = cache or cache_folder() / "calibration" / f"{fingerprint[:16]}-{images.digest[:16]}.npz"
    known = _known(path, fingerprint, images.digest, named=cache is not None)
    if known is not None:
        say(f"statistics of {known.count} images are known already, from {path}")
        return known
    say(f"calibrating {len(wanted)} tensors on {len(images)} images")
    graph = Graph(model)
    costs = macs(graph, shapes(graph, next(iter(images))))
    found = Statistics(collect(model, wanted, images), fingerprint, images.digest, len(images), images.size, costs)
    with suppress(*(() if cache else (OutputError,))):
        found.save(path)
    return found


def digest(model: onnx.ModelProto) -> str:
    """Return hex SHA-256 of the graph with its weights, whatever the model's metadata."""
    return hashlib.sha256(model.graph.SerializeToString(deterministic=True)).hexdigest()


def _known(path: Path, model: str, images: str, *, named: bool) -> Statistics | None:
    """Return what ``path`` has of this model and these images, or None.

    Raises:
        CalibrationError: If the user ``named`` the file, and it is of another model or of other images.
    """
    if not path.exists():
        return None
    try:
        known = tensor_statistics.load(path)
        _require_same(path, "another checkpoint or size", known.model, model)
        _require_same(path, "other images", known.images, images)
    except CalibrationError:
        if named:
            raise
        return None
    return known


def _require_same(path: Path, of: str, found: str, expected: str) -> None:
    if found != expected:
        raise CalibrationError(
            f"{path} has statistics of {of} ({found[:12]}, expected {expected[:12]}): name another file, or remove it "
            "to calibrate again"
        )
