"""Proof that an artifact computes what the module computes: both run on the same images, the differences measured.

The module runs in double precision, so that what is measured is the artifact's rounding and not the sum of two.

PEM's cross-attention picks, per head and query, the one pixel of highest similarity. Where two pixels are equal to
within rounding, two correct implementations may pick different ones, and that image's outputs then differ visibly
though neither is wrong. This strikes about one image in eight, so the gate asks that most images agree within the
tolerance and that the segmentations of all of them agree nearly everywhere; a real fault fails on every image.
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
Size = tuple[int, int, int]
"""Batch, height, width."""


TOLERANCES = {"fp32": Tolerance(), "fp16": Tolerance(logits=0.5, masks=2.0, agreement=0.95, tie=0.02)}
"""By precision. In half a mask logit of 512 is rounded by up to 0.25, where only those near 0 decide anything, and
near-ties (above) strike more often."""


def judged(images: Sequence[Difference], tolerance: Tolerance) -> Parity:
    """Return what the differences of all images amount to.

    The parity passed if most images are within the tolerance, and no image's segmentation differs by much.
    """
    within = sum(image.logits <= tolerance.logits and image.masks <= tolerance.masks for image in images)
    least = min(image.agreement for image in images)
    return Parity(
        passed=2 * within > len(images) and least >= tolerance.agreement,
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
            agreement=least,
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
    """Run ``model`` and each backend on an image of each of ``sizes``; results by the backend's name."""
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
    return {name: judged(found, tolerance) for name, found in differences.items()}


def require(parities: dict[str, Parity]) -> None:
    """Raise ExportError unless every backend passed."""
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
    """Return the largest differences, and the share of pixels whose winner's expected score is nearly the best.

    A score counts as nearly the best if it is within a share ``tie`` of it.
    """
    logits, masks = (float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True))
    scores, winners = _scores(*expected), _scores(*found).argmax(axis=1)
    reached = np.take_along_axis(scores, winners[:, None], axis=1)[:, 0]
    agreement = float(np.mean(reached >= (1 - tie) * scores.max(axis=1)))
    return Difference(size, _finite(logits), _finite(masks), agreement)


def sizes_for(spec: InputSpec) -> list[Size]:
    """Return the sizes to test an artifact with: five times its size or, for a dynamic one, usual and other sizes."""
    usual = (spec.batch, spec.height, spec.width)
    if not spec.dynamic:
        return [usual] * 5
    rows, columns, batches = spec.dynamic_height, spec.dynamic_width, spec.dynamic_batch
    least = (
        batches.least if batches else 1,
        rows.least if rows else spec.height,
        columns.least if columns else spec.width,
    )
    many = (min(2, batches.most) if batches else spec.batch, least[1], spec.width)
    return [usual, least, usual, many, usual]


def sample_image(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Return an image of shapes, gradients, flat parts and noise, the same everywhere: RGB uint8 (H, W, 3)."""
    random = np.random.Generator(np.random.PCG64([height, width, seed]))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    canvas = np.stack([x / width, y / height, (x + y) / (height + width)], axis=2) * random.uniform(80, 255, 3)
    for inside in _shapes(x, y, random):
        canvas[inside] = random.uniform(0, 255, 3)
    noisy = canvas + random.normal(0, 6, canvas.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def _shapes(x: NDArray[np.float32], y: NDArray[np.float32], random: np.random.Generator) -> Iterator[NDArray[np.bool_]]:
    height, width = x.shape
    for _ in range(16):
        cy, cx = random.uniform(0, height), random.uniform(0, width)
        ry, rx = random.uniform(0.02, 0.3, 2) * (height, width)
        disc = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
        box = (abs(y - cy) < ry) & (abs(x - cx) < rx)
        yield disc if random.uniform() < 0.5 else box


def _scores(logits: NDArray[np.floating], masks: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return class score times mask probability of each query at each mask pixel: (N, Q, H/4, W/4)."""
    scores = probabilities(logits)[:, :, :-1].max(axis=2)
    return np.asarray(scores[:, :, None, None] * sigmoid(masks.astype(np.float32)))


def _finite(value: float) -> float:
    """Return JSON has no NaN; an artifact that returns one is as wrong as can be."""
    return value if np.isfinite(value) else float(np.finfo(np.float32).max)
