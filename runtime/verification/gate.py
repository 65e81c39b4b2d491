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
from pem_edge.runtime.verification.differences import Outputs, compare, is_within
from pem_edge.runtime.verification.sample_images import sample_image

Model = Callable[[NDArray[np.uint8]], Outputs]
"""Takes images, RGB uint8 (N, H, W, 3), and returns class logits (N, Q, K + 1) and mask logits (N, Q, H/4, W/4)."""

Size = tuple[int, int]
"""Height and width in pixels."""

LEAST_RUNS, MOST_RUNS, TOO_MANY = 3, 15, 6
"""Runs of a batch. An engine's first run differs from its second, which records a CUDA graph, and from all later ones,
which replay it. After these, a slot is right once most of its images are within tolerance, and wrong once six more are
not than are, or if undecided after the most runs. If ties put one image in eight out of tolerance, one right slot in
17,000 counts as wrong."""

ALL_BATCHES = 8
"""If batches are no larger, all sizes of batches are run at the usual size."""


@dataclass(frozen=True)
class Finding:
    """What was found at one slot of one batch.

    Attributes:
        difference: The difference from the outputs of the ONNX model.
        finite: Whether all values of the outputs were finite.
        twin: The slot of the batch whose result was found here instead; None if it was none's, or if the batch had been
            run before: the next batch has the same images one slot further, so that old results look like a neighbor's.
    """

    difference: Difference
    finite: bool = True
    twin: int | None = None


def check(
    model: Model, reference: Model, spec: InputSpec, tolerance: Tolerance, progress: Callable[[int, int], None]
) -> list[Finding]:
    """Return how the outputs of ``model`` differ from those of ``reference``.

    Every batch is run with other images until each of its slots is decided, see `LEAST_RUNS`.

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
    """Return the sizes of batches to run at each size.

    They are the largest one, at each end and in the middle its own, and in the middle all if there are few.
    """
    least, usual, largest = spec.shapes()
    plan: dict[Size, set[int]] = {(height, width): {largest[0]} for _, height, width in (least, usual, largest)}
    for batch, height, width in (least, usual, largest):
        plan[height, width].add(batch)
    if largest[0] <= ALL_BATCHES:
        plan[usual[1:]].update(range(least[0], largest[0] + 1))
    return {size: sorted(batches) for size, batches in plan.items()}


def wrong_slots(findings: Iterable[Finding], tolerance: Tolerance) -> list[list[Finding]]:
    """Return the findings of each slot, of each batch size and size, that are not right."""
    by_slot: dict[tuple[str, int | None, int | None], list[Finding]] = {}
    for finding in findings:
        found = finding.difference
        by_slot.setdefault((found.size, found.batch, found.slot), []).append(finding)
    return [group for group in by_slot.values() if not _decide(group, tolerance)]


def _decide(group: Sequence[Finding], tolerance: Tolerance) -> bool | None:
    """Return whether a slot is right; None if more images must tell."""
    if not all(each.finite and each.difference.agreement >= tolerance.agreement for each in group):
        return False
    balance = sum(1 if is_within(each.difference, tolerance) else -1 for each in group)
    if balance > 0:
        return True
    return False if balance <= -TOO_MANY else None


def _check_size(
    model: Model, reference: Model, size: Size, batches: Sequence[int], spec: InputSpec, tolerance: Tolerance
) -> list[Finding]:
    slots: dict[tuple[int, int], list[Finding]] = {(batch, slot): [] for batch in batches for slot in range(batch)}
    samples = _Samples(reference, size, batches[0] if spec.shapes()[0][0] > 1 else 1)
    for run in range(MOST_RUNS):
        undecided = {key for key, group in slots.items() if _needs_more(group, tolerance)}
        for batch in sorted({batch for batch, _ in undecided}):
            images, expected = samples.batch(run, batch)
            found = _compare_slots(model(images), expected, size, tolerance, seek_twins=run == 0)
            for slot, finding in enumerate(found):
                if (batch, slot) in undecided:
                    slots[batch, slot].append(finding)
    return [finding for group in slots.values() for finding in group]


def _needs_more(group: Sequence[Finding], tolerance: Tolerance) -> bool:
    decided = _decide(group, tolerance)
    return decided is None or (decided and len(group) < LEAST_RUNS)


class _Samples:
    """Sample images of one size and what the reference gives for them, each computed once, ``chunk`` at a time."""

    def __init__(self, reference: Model, size: Size, chunk: int) -> None:
        self._reference, self._size, self._chunk = reference, size, chunk
        self._images: list[NDArray[np.uint8]] = []
        self._outputs: list[Outputs] = []

    def batch(self, first: int, count: int) -> tuple[NDArray[np.uint8], Outputs]:
        """Return ``count`` images from number ``first`` on, (N, H, W, 3), and the outputs that they should have."""
        while len(self._images) < first + count:
            self._append()
        part = slice(first, first + count)
        logits, masks = (np.concatenate(each) for each in zip(*self._outputs[part], strict=True))
        return np.stack(self._images[part]), (logits, masks)

    def _append(self) -> None:
        start = len(self._images)
        images = [sample_image(*self._size, start + number) for number in range(self._chunk)]
        logits, masks = self._reference(np.stack(images))
        if not (np.isfinite(logits).all() and np.isfinite(masks).all()):
            raise VerificationError(
                "the ONNX model gives values that are not finite, with which nothing can be compared: export it again, "
                "from weights that are right, or with --precision fp32"
            )
        self._images += images
        self._outputs += [_image((logits, masks), number) for number in range(self._chunk)]


def _compare_slots(
    found: Outputs, expected: Outputs, size: Size, tolerance: Tolerance, *, seek_twins: bool
) -> Iterator[Finding]:
    batch = len(found[0])
    for slot in range(batch):
        own = _image(found, slot)
        with np.errstate(invalid="ignore", over="ignore"):
            difference = compare(own, _image(expected, slot), f"{size[0]}x{size[1]}", tolerance.tie)
        finite = bool(np.isfinite(own[0]).all() and np.isfinite(own[1]).all())
        lost = seek_twins and finite and not is_within(difference, tolerance)
        others = [other for other in range(batch) if other != slot] if lost else []
        twins = (other for other in others if is_within(compare(own, _image(expected, other), ""), tolerance))
        yield Finding(msgspec.structs.replace(difference, batch=batch, slot=slot), finite, next(twins, None))


def _image(outputs: Outputs, slot: int) -> Outputs:
    return outputs[0][slot : slot + 1], outputs[1][slot : slot + 1]
