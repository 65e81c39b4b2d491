"""The parity check, which verifies that an artifact computes what the PyTorch model computes.

Both run on the same images. The PyTorch model runs in double precision, so that the differences show the rounding of
the artifact alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import chain

import torch

from pem_edge.pem import PEM
from pem_edge.runtime.artifacts.manifest import InputSpec
from pem_edge.runtime.artifacts.provenance import Difference, Parity, Tolerance
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.errors import ExportError
from pem_edge.runtime.verification.differences import compare, is_within, judge
from pem_edge.runtime.verification.sample_images import sample_batch

ENOUGH = 3
"""Number of batches after which no more follow if all of them are within the tolerance in every backend."""

Size = tuple[int, int, int]
"""Batch size, height and width of an input, in pixels."""


def measure(
    model: PEM,
    backends: Sequence[Backend],
    sizes: Sequence[Size],
    tolerance: Tolerance | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Parity]:
    """Run ``model`` and each backend on one batch of images per size, and on no more once `ENOUGH` left no doubt.

    Args:
        model: The PyTorch model.
        backends: The loaded artifact, in each backend to check.
        sizes: The sizes of the batches, in their order.
        tolerance: The tolerance; ``Tolerance()`` for None.
        progress: Is told how many batches are done, and of how many.

    Returns:
        The parity by the name of the backend.
    """
    reference = copy.deepcopy(model).double().eval()
    tolerance = tolerance or Tolerance()
    differences: dict[str, list[Difference]] = {backend.name: [] for backend in backends}
    for seed, size in enumerate(sizes):
        images = sample_batch(*size, seed)
        with torch.inference_mode():
            logits, masks = reference(torch.from_numpy(images))
        expected = (logits.numpy(), masks.numpy())
        for backend in backends:
            found = compare(backend(images), expected, f"{size[1]}x{size[2]}", tolerance.tie)
            differences[backend.name].append(found)
        progress(seed + 1, len(sizes))
        if seed + 1 >= ENOUGH and all(is_within(each, tolerance) for each in chain(*differences.values())):
            break
    return {name: judge(found, tolerance) for name, found in differences.items()}


def require(parities: dict[str, Parity]) -> None:
    """Raise ExportError unless every backend passed, given the parity by backend."""
    for name, parity in parities.items():
        if not parity.passed:
            worst = max(parity.each, key=lambda image: image.masks)
            raise ExportError(
                f"parity failed in {name}: {parity.within_tolerance} of {parity.images} images within tolerance, worst "
                f"difference {worst.logits:.2g} in class logits and {worst.masks:.2g} in mask logits at {worst.size}, "
                f"{worst.agreement:.2%} of pixels agree; nothing was written: try another --deform-conv or backend "
                "version, and report it"
            )


def sizes_for(spec: InputSpec) -> list[Size]:
    """Return the sizes of the up to five batches that an artifact of ``spec`` is checked with.

    A static artifact is checked at its size, a dynamic one also at its minimum size and with more than one image.
    """
    default = (spec.batch, spec.height, spec.width)
    if not spec.dynamic:
        return [default] * 5
    minimum, _, _ = spec.shapes()
    several = (min(2, spec.dynamic_batch.most) if spec.dynamic_batch else spec.batch, minimum[1], spec.width)
    return [default, minimum, several, default, default]
