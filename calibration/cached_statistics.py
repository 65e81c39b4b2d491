"""Collects statistics, or reads them from a file if the same model was calibrated on the same images before."""

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
from pem_edge.runtime.plurals import plural
from pem_edge.runtime.progress import Say


def statistics(
    model: onnx.ModelProto,
    images: CalibrationSet,
    cache: Path | None = None,
    say: Say = lambda _text: None,
) -> Statistics:
    """Return the statistics of ``model`` over ``images``, from a file if there are any, or else by running the model.

    Args:
        model: A graph in single precision.
        images: The calibration images.
        cache: The file that stores the statistics; None for a file in the user's cache folder. In the cache folder,
            unusable files are replaced, and failures to write are ignored.
        say: The function that receives remarks on progress. A progress bar goes to standard error.

    Raises:
        CalibrationError: If ``cache`` is damaged or belongs to another model or other images, or if a layer computes
            a value that is not finite.
        InputError: If an image cannot be read.
        OutputError: If ``cache`` cannot be written.
    """
    fingerprint, wanted = digest(model), tensors(model)
    path = cache or cache_folder() / "calibration" / f"{fingerprint[:16]}-{images.digest[:16]}.npz"
    known = _read_known(path, fingerprint, images.digest, named=cache is not None)
    if known is not None:
        say(f"statistics of {plural(known.count, 'image')} are known already, from {path}")
        return known
    say(f"calibrating {plural(len(wanted), 'tensor')} on {plural(len(images), 'image')}")
    graph = Graph(model)
    costs = macs(graph, shapes(graph, next(iter(images))))
    found = Statistics(collect(model, wanted, images), fingerprint, images.digest, len(images), images.size, costs)
    with suppress(*(() if cache else (OutputError,))):
        found.save(path)
    return found


def digest(model: onnx.ModelProto) -> str:
    """Return the SHA-256 of the graph and its weights, but not of the model's metadata, in hexadecimal."""
    return hashlib.sha256(model.graph.SerializeToString(deterministic=True)).hexdigest()


def _read_known(path: Path, model: str, images: str, *, named: bool) -> Statistics | None:
    """Read the statistics of this model and these images from ``path``; return None if it has none.

    Raises:
        CalibrationError: If the user ``named`` the file, and it is damaged or belongs to another model or other images.
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
