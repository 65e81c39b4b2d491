"""The parity check, which verifies that an artifact computes what the PyTorch model computes.

Both run on the same images. The PyTorch model runs in double precision, so that the differences show the rounding of
the artifact alone.

PEM's cross-attention picks, per head and query, the one pixel of highest similarity. Where two similarities are equal
to within rounding, two correct implementations may pick different pixels, and the outputs for that image then differ
visibly though neither is wrong. This happens on about one image in eight. The check therefore passes if most images are
within the tolerance and the segmentations of all images agree nearly everywhere; a real fault fails on every image.
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pem_edge.pem import PEM
from pem_edge.runtime.artifacts.manifest import InputSpec
from pem_edge.runtime.artifacts.provenance import Difference, Parity, Tolerance, TypicalDifference, WorstDifference
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.errors import ExportError
from pem_edge.runtime.inference.postprocess.classes import probabilities, sigmoid

Outputs = tuple[NDArray[np.floating], NDArray[np.floating]]
"""Class logits (N, Q, K + 1) and mask logits (N, Q, H/4, W/4)."""

Size = tuple[int, int, int]
"""Batch size, height and width of an input, in pixels."""

TOLERANCES = {"fp32": Tolerance(), "fp16": Tolerance(logits=0.5, masks=2.0, agreement=0.95, tie=0.02)}
"""The tolerance by precision. Half precision rounds a mask logit of 512 by up to 0.25, which does no harm because only
logits near 0 decide anything, and it makes ties between similarities more frequent."""


def judge(images: Sequence[Difference], tolerance: Tolerance) -> Parity:
    """Summarize the differences of all images, and decide whether the check passes.

    It passes if most images are within the tolerance and the agreement of every image reaches its minimum.
    """
    within = sum(image.logits <= tolerance.logits and image.masks <= tolerance.masks for image in images)
    min_agreement = min(image.agreement for image in images)
    return Parity(
        passed=2 * within > len(images) and min_agreement >= tolerance.agreement,
        images=len(images),
        within_tolerance=within,
        tolerance=tolerance,
        median=TypicalDifference(
            logits=statistics.median(image.logits for image in images),
            masks=statistics.median(image.masks for image in images),
        ),
        worst=WorstDifference(
            logits=max(image.logits for image in images),
            masks=max(image.masks for image in images),
            agreement=min_agreement,
        ),
        each=tuple(images),
    )


def measure(
    model: PEM,
    backends: Sequence[Backend],
    sizes: Sequence[Size],
    tolerance: Tolerance | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Parity]:
    """Run ``model`` and each backend on one batch of images per size.

    Args:
        model: The PyTorch model.
        backends: The loaded artifact, in each backend to check.
        sizes: The sizes of the batches.
        tolerance: The tolerance; ``Tolerance()`` for None.
        progress: Is told how many batches are done, and of how many.

    Returns:
        The parity by the name of the backend.
    """
    reference = copy.deepcopy(model).double().eval()
    tolerance = tolerance or Tolerance()
    differences: dict[str, list[Difference]] = {backend.name: [] for backend in backends}
    for seed, size in enumerate(sizes):
        images = np.stack([sample_image(size[1], size[2], 100 * seed + i) for i in range(size[0])])
        with torch.inference_mode():
            logits, masks = reference(torch.from_numpy(images))
        expected = (logits.numpy(), masks.numpy())
        for backend in backends:
            found = compare(backend(images), expected, f"{size[1]}x{size[2]}", tolerance.tie)
            differences[backend.name].append(found)
        progress(seed + 1, len(sizes))
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


def compare(found: Outputs, expected: Outputs, size: str, tie: float = 0.0) -> Difference:
    """Return how the outputs of a backend differ from the expected outputs.

    A pixel agrees if the query that wins it has an expected score of at least 1 - ``tie`` times the highest expected
    score at that pixel.

    Args:
        found: The outputs of the backend.
        expected: The outputs of the PyTorch model.
        size: The size of the images, "HxW", for the report.
        tie: The fraction by which scores may differ and still count as tied.
    """
    logits, masks = (float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True))
    scores, winners = _scores(*expected), _scores(*found).argmax(axis=1)
    reached = np.take_along_axis(scores, winners[:, None], axis=1)[:, 0]
    agreement = float(np.mean(reached >= (1 - tie) * scores.max(axis=1)))
    return Difference(size, _to_finite(logits), _to_finite(masks), agreement)


def sizes_for(spec: InputSpec) -> list[Size]:
    """Return the sizes of the five batches that an artifact of ``spec`` is checked with.

    A static artifact is checked at its size, a dynamic one also at its minimum size and with more than one image.
    """
    default = (spec.batch, spec.height, spec.width)
    if not spec.dynamic:
        return [default] * 5
    rows, columns, batches = spec.dynamic_height, spec.dynamic_width, spec.dynamic_batch
    minimum = (
        batches.least if batches else 1,
        rows.least if rows else spec.height,
        columns.least if columns else spec.width,
    )
    several = (min(2, batches.most) if batches else spec.batch, minimum[1], spec.width)
    return [default, minimum, default, several, default]


def sample_image(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Return an image of shapes, gradients, flat areas and noise: RGB uint8 (H, W, 3).

    The same ``seed`` and size give the same image on every machine.
    """
    random = np.random.Generator(np.random.PCG64([height, width, seed]))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    canvas = np.stack([x / width, y / height, (x + y) / (height + width)], axis=2) * random.uniform(80, 255, 3)
    for inside in _shapes(x, y, random):
        canvas[inside] = random.uniform(0, 255, 3)
    noisy = canvas + random.normal(0, 6, canvas.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def _shapes(x: NDArray[np.float32], y: NDArray[np.float32], random: np.random.Generator) -> Iterator[NDArray[np.bool_]]:
    """Yield the masks (H, W) of ellipses and boxes, given the coordinates ``x`` and ``y`` of each pixel, (H, W)."""
    height, width = x.shape
    for _ in range(16):
        cy, cx = random.uniform(0, height), random.uniform(0, width)
        ry, rx = random.uniform(0.02, 0.3, 2) * (height, width)
        ellipse = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
        box = (abs(y - cy) < ry) & (abs(x - cx) < rx)
        yield ellipse if random.uniform() < 0.5 else box


def _scores(logits: NDArray[np.floating], masks: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the highest class probability times the mask probability, (N, Q, H/4, W/4)."""
    scores = probabilities(logits)[:, :, :-1].max(axis=2)
    return np.asarray(scores[:, :, None, None] * sigmoid(masks.astype(np.float32)))


def _to_finite(value: float) -> float:
    """Return ``value``, or the largest float32 in place of NaN and infinity, which JSON cannot hold."""
    return value if np.isfinite(value) else float(np.finfo(np.float32).max)
