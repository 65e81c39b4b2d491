"""Runs a loaded model beside its ONNX model, at each size that it is made for and at each slot of the batch.

Engines are built without a complaint and answer wrongly: at one slot of the batch, at one size, or everywhere. The
batches here are those at which each of these faults shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.manifest import InputSpec
from pem_edge.runtime.artifacts.provenance import Difference, Tolerance
from pem_edge.runtime.errors import VerificationError
from pem_edge.runtime.verification.differences import Outputs, compare, is_within, judge
from pem_edge.runtime.verification.sample_images import sample_batch

Model = Callable[[NDArray[np.uint8]], Outputs]
"""Takes images, RGB uint8 (N, H, W, 3), and returns class logits (N, Q, K + 1) and mask logits (N, Q, H/4, W/4)."""

Size = tuple[int, int]
"""Height and width in pixels."""

MOST_BATCHES = 5
"""Number of batches of one size after which a slot counts as wrong whose images are mostly out of tolerance."""


@dataclass(frozen=True)
class Finding:
    """What was found at one slot of one batch.

    Attributes:
        difference: The difference from the outputs of the ONNX model.
        finite: Whether all values of the outputs were finite.
        twin: The slot of the batch whose result was found here instead; None if it was none's.
    """

    difference: Difference
    finite: bool = True
    twin: int | None = None


def check(
    model: Model, reference: Model, spec: InputSpec, tolerance: Tolerance, progress: Callable[[int, int], None]
) -> list[Finding]:
    """Return how the outputs of ``model`` differ from those of ``reference``.

    A size gets another batch of images as long as most images of a slot are out of tolerance, as ties do that to single
    images; `MOST_BATCHES` are the most.

    Args:
        model: The loaded model.
        reference: Its ONNX model, loaded on the CPU.
        spec: The sizes that both take.
        tolerance: The limits.
        progress: Is told how many sizes are done, and of how many.

    Raises:
        VerificationError: If the outputs of ``reference`` are not finite, which leaves nothing to compare with.
    """
    found: list[Finding] = []
    plan = batches_by_size(spec)
    for done, (size, batches) in enumerate(plan.items(), 1):
        found += _check_size(model, reference, size, batches, spec, tolerance)
        progress(done, len(plan))
    return found


def batches_by_size(spec: InputSpec) -> dict[Size, list[int]]:
    """Return the batch sizes to run at each size: the largest everywhere, the least and the usual one where usual."""
    shapes = spec.shapes()
    largest = shapes[2][0]
    plan: dict[Size, list[int]] = {(height, width): [] for _, height, width in shapes}
    for batch, height, width in shapes:
        plan[height, width] = sorted({*plan[height, width], batch, largest})
    return plan


def wrong_slots(findings: Iterable[Finding], tolerance: Tolerance) -> list[list[Finding]]:
    """Return the findings of each slot, of each batch size and size, that is wrong, see `differences.judge`."""
    by_slot: dict[tuple[str, int | None, int | None], list[Finding]] = {}
    for finding in findings:
        found = finding.difference
        by_slot.setdefault((found.size, found.batch, found.slot), []).append(finding)
    return [group for group in by_slot.values() if not _is_right(group, tolerance)]


def _is_right(group: Sequence[Finding], tolerance: Tolerance) -> bool:
    return all(each.finite for each in group) and judge([each.difference for each in group], tolerance).passed


def _check_size(
    model: Model, reference: Model, size: Size, batches: Sequence[int], spec: InputSpec, tolerance: Tolerance
) -> list[Finding]:
    found: list[Finding] = []
    for seed in range(MOST_BATCHES):
        images = sample_batch(max(batches), *size, seed)
        expected = _expect(reference, images, spec)
        for batch in batches:
            found += _compare_slots(model(images[:batch]), expected, size, tolerance)
        if not wrong_slots(found, tolerance):
            break
    return found


def _expect(reference: Model, images: NDArray[np.uint8], spec: InputSpec) -> Outputs:
    """Return the outputs of ``reference``, run for one image after the other if it takes single images."""
    one_by_one = spec.shapes()[0][0] == 1
    parts = [reference(images[slot : slot + 1]) for slot in range(len(images))] if one_by_one else [reference(images)]
    logits, masks = (np.concatenate(each) for each in zip(*parts, strict=True))
    if not (np.isfinite(logits).all() and np.isfinite(masks).all()):
        raise VerificationError(
            "the ONNX model gives values that are not finite, with which nothing can be compared: export it again, "
            "from weights that are right, or with --precision fp32"
        )
    return logits, masks


def _compare_slots(found: Outputs, expected: Outputs, size: Size, tolerance: Tolerance) -> Iterator[Finding]:
    batch = len(found[0])
    for slot in range(batch):
        own = _image(found, slot)
        with np.errstate(invalid="ignore", over="ignore"):
            difference = compare(own, _image(expected, slot), f"{size[0]}x{size[1]}", tolerance.tie)
        finite = bool(np.isfinite(own[0]).all() and np.isfinite(own[1]).all())
        right = finite and is_within(difference, tolerance)
        others = [] if right or not finite else [other for other in range(batch) if other != slot]
        twins = (other for other in others if is_within(compare(own, _image(expected, other), ""), tolerance))
        yield Finding(msgspec.structs.replace(difference, batch=batch, slot=slot), finite, next(twins, None))


def _image(outputs: Outputs, slot: int) -> Outputs:
    return outputs[0][slot : slot + 1], outputs[1][slot : slot + 1]
