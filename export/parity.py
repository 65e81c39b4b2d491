"""The parity check, which verifies that an artifact computes what the PyTorch model computes.

Both run on the same images. The PyTorch model runs in double precision, so that the differences show the rounding of
the artifact alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray

from pem_edge.export.kept_memory import kept_memory
from pem_edge.pem import MaskClassifier
from pem_edge.runtime.artifacts.manifest import InputSpec
from pem_edge.runtime.artifacts.provenance import Difference, Parity, Tolerance
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.errors import BrokenBackend, ExportError
from pem_edge.runtime.installation import how_to_install
from pem_edge.runtime.plurals import plural
from pem_edge.runtime.progress import Say
from pem_edge.runtime.verification.differences import TOLERANCES, Outputs, compare, is_within, judge
from pem_edge.runtime.verification.sample_images import sample_batch

ENOUGH = 2
"""Number of batches, one of each size at least, after which no more follow if all of them are within the tolerance in
every backend: a real fault shows on every image."""

Images = NDArray[np.uint8]
"""A batch of images, RGB (N, H, W, 3)."""

Size = tuple[int, int, int]
"""Batch size, height and width of an input, in pixels."""


def measure(
    model: MaskClassifier,
    backends: Mapping[str, Callable[[], Backend]],
    sizes: Sequence[Size],
    tolerance: Tolerance | None = None,
    say: Say = lambda _text: None,
) -> dict[str, Parity]:
    """Run ``model`` and each backend on one batch of images per size, and on no more once `ENOUGH` left no doubt.

    Models may be large: one backend is loaded at a time, and none while ``model`` runs.

    Args:
        model: The PyTorch model, which is changed to double precision meanwhile.
        backends: Functions that load the artifact in each backend, by the backend's name.
        sizes: The sizes of the batches, in their order.
        tolerance: The tolerance; that of single precision for None.
        say: Told of progress, and of backends that are left out because they are broken.

    Returns:
        The parity by the name of the backend.
    """
    tolerance = tolerance or TOLERANCES["fp32"]
    differences: dict[str, list[Difference]] = {}
    enough = max(ENOUGH, len(set(sizes)))
    for seeds in filter(None, (range(min(enough, len(sizes))), range(enough, len(sizes)))):
        batches = [sample_batch(*sizes[seed], seed) for seed in seeds]
        say(f"computing {plural(len(batches), 'image')} in double precision")
        expected = _compute(model, batches)
        for name, load in backends.items():
            say(f"comparing {name}'s outputs with them")
            found = _compare(load, batches, expected, tolerance, say)
            differences.setdefault(name, []).extend(found)
        if all(is_within(each, tolerance) for each in chain(*differences.values())):
            break
    return {name: judge(found, tolerance) for name, found in differences.items() if found}


@kept_memory()
def _compute(model: MaskClassifier, batches: Sequence[Images]) -> list[Outputs]:
    """Return what ``model`` computes in double precision."""
    model.eval().double()
    try:
        with torch.inference_mode():
            computed = [model(torch.from_numpy(images)) for images in batches]
    finally:
        model.float()  # the same values as before: single precision fits into double
    return [(logits.numpy(), masks.numpy()) for logits, masks in computed]


def _compare(
    load: Callable[[], Backend], batches: Sequence[Images], expected: Sequence[Outputs], tolerance: Tolerance, say: Say
) -> list[Difference]:
    """Return how a backend's outputs differ from ``expected``, for each batch; nothing if the backend is broken."""
    try:
        backend = load()
    except BrokenBackend as error:
        say(f"{error}; it is left out of the parity check")
        return []
    with closing(backend):
        return [
            compare(backend(images), outputs, f"{images.shape[1]}x{images.shape[2]}", tolerance.tie)
            for images, outputs in zip(batches, expected, strict=True)
        ]


def require(parities: dict[str, Parity]) -> None:
    """Raise ExportError unless there is a backend, and every one passed, given the parity by backend."""
    if not parities:
        raise ExportError(
            f"no backend ran the graph, so that nothing proves it, and nothing was written: {how_to_install('ort')}"
        )
    for name, parity in parities.items():
        if not parity.passed:
            worst, sizes = parity.worst, ", ".join(dict.fromkeys(image.size for image in parity.each))
            raise ExportError(
                f"parity failed in {name}: {parity.within_tolerance} of {parity.images} images within tolerance, at "
                f"worst {worst.logits:.2g} of difference in class logits, {worst.masks:.2g} in mask logits, and "
                f"{worst.agreement:.2%} of pixels that agree (sizes {sizes}); nothing was written: try another "
                "--deform-conv or backend version, and report it"
            )


def sizes_for(spec: InputSpec) -> list[Size]:
    """Return the sizes of the up to five batches that an artifact of ``spec`` is checked with, each size first once.

    A static artifact is checked at its size, a dynamic one also at its minimum size and with more than one image.
    """
    default = (spec.batch, spec.height, spec.width)
    if not spec.dynamic:
        return [default] * 5
    minimum, _, _ = spec.shapes()
    several = (min(2, spec.dynamic_batch.most) if spec.dynamic_batch else spec.batch, minimum[1], spec.width)
    sizes = list(dict.fromkeys([default, minimum, several]))
    return sizes + [default] * (5 - len(sizes))
