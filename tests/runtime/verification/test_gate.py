"""The gate lets through what is right, ties included, and says of what is wrong where it is wrong and what to try."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.manifest import InputSpec, Manifest, Range
from pem_edge.runtime.artifacts.provenance import BuiltBy, Tolerance
from pem_edge.runtime.artifacts.sections import Weights
from pem_edge.runtime.errors import VerificationError
from pem_edge.runtime.verification import gate
from pem_edge.runtime.verification.differences import TOLERANCES, Outputs
from pem_edge.runtime.verification.verdict import describe

DYNAMIC = InputSpec(
    height=64,
    width=64,
    dynamic_batch=Range(1, 1, 3),
    dynamic_height=Range(32, 64, 96),
    dynamic_width=Range(32, 64, 96),
)
FIXED = InputSpec(height=32, width=64, batch=2)
Images = NDArray[np.uint8]
Change = Callable[[Images, Outputs], None]


def right(images: Images) -> Outputs:
    """Return outputs that depend on the image."""
    means = images.reshape(len(images), images.shape[1] // 4, 4, images.shape[2] // 4, 4, 3).mean((2, 4)) / 32
    masks = np.stack([means[..., 0] - means[..., 1], means[..., 2] - 4, 4 - means[..., 0]], 1)
    logits = np.stack([masks.mean((2, 3)), 2 * masks.max((2, 3)), masks.min((2, 3))], 2)
    return logits, masks


def changed(change: Change) -> gate.Model:
    def model(images: Images) -> Outputs:
        outputs = right(images)
        change(images, outputs)
        return outputs

    return model


def verdict(model: gate.Model, spec: InputSpec = DYNAMIC, **fields: str) -> str | None:
    about = {
        "variant": "made-up",
        "input": spec,
        "outputs": {"logits": "float32", "masks": "float32"},
        "queries": 3,
        "classes": tuple(labels.default(2)),
        "deform_conv": "standard",
        "checkpoint": Weights("none.pth", "0" * 64),
        "built_by": BuiltBy(pem_edge="test"),
        **fields,
    }
    findings = gate.check(model, right, spec, Tolerance(), lambda _done, _total: None)
    return describe(findings, Manifest(**about), Tolerance())  # type: ignore[arg-type]


def swap(images: Images, outputs: Outputs) -> None:
    if len(images) > 1:
        for each in outputs:
            each[:2] = each[1::-1].copy()


def perturb_masks(_images: Images, outputs: Outputs) -> None:
    outputs[1][:] += 0.5


def drift(images: Images, outputs: Outputs) -> None:
    if images.shape[1:3] == (96, 96):
        outputs[1][:] *= 1.25


def give_nan(_images: Images, outputs: Outputs) -> None:
    outputs[0][-1] = np.nan


def give_infinity(_images: Images, outputs: Outputs) -> None:
    outputs[1][0, 0, 0, 0] = np.inf


def fail_in_last_slot(images: Images, outputs: Outputs) -> None:
    if len(images) == 3:
        outputs[0][-1] += 1


def fail_above_one(images: Images, outputs: Outputs) -> None:
    if len(images) > 1:
        outputs[0][:] += 1


def lose_every_segment(_images: Images, outputs: Outputs) -> None:
    np.minimum(outputs[1], -0.5, out=outputs[1])


def call_everything_another_class(_images: Images, outputs: Outputs) -> None:
    outputs[0][:, :, :2] = outputs[0][:, :, 1::-1].copy()


def call_everything_nothing(_images: Images, outputs: Outputs) -> None:
    outputs[0][:, :, 2] = outputs[0].max(axis=2) + 0.2


@pytest.mark.parametrize("spec", [DYNAMIC, FIXED, InputSpec(height=32, width=32)])
def test_what_is_right_passes(spec: InputSpec) -> None:
    assert verdict(right, spec) is None


@pytest.mark.parametrize(
    ("fault", "said", "cure"),
    [
        (swap, "at 32x32 in slot 0 of 3 is the result of slot 1", "--max-batch 1, or export with --deform-conv gather"),
        (perturb_masks, "everywhere mask logits differ by up to 0.5 (limit 0.005), class logits agree", "gather"),
        (drift, "right at 32x32, 64x64, wrong at 96x96", "--size, --min-size and --max-size"),
        (give_nan, "not finite at 32x32 in slot 0 of 1", "export with --deform-conv gather"),
        (give_infinity, "not finite at 32x32 in slot 0 of 1", "export with --deform-conv gather"),
        (fail_in_last_slot, "right at slot 0, 1, wrong at slot 2", "--max-batch 1"),
        (fail_above_one, "right in batches of 1, wrong in batches of 3", "--max-batch 1"),
    ],
)
def test_each_fault_has_a_sentence_and_a_cure(fault: Change, said: str, cure: str) -> None:
    found = verdict(changed(fault))
    assert found is not None
    what, _, next_thing = found.partition(": ")
    assert said in what
    assert cure in next_thing


def test_a_fixed_batch_is_named_by_its_own_option() -> None:
    assert "--batch 1" in (verdict(changed(swap), FIXED) or "")


def test_half_precision_may_be_the_reason() -> None:
    assert "--precision fp32" in (verdict(changed(give_nan), precision="fp16") or "")


def runs_until_decided(perturb: Callable[[int, Outputs], Outputs]) -> tuple[int, bool]:
    """Return how often a model is run until it is decided, and whether it passes.

    ``perturb`` changes the right outputs of a run in place, or returns others, given the run's number from 0.
    """
    runs = itertools.count()
    found = verdict(lambda images: perturb(next(runs), right(images)), InputSpec(height=64, width=64))
    return next(runs), found is None


def test_a_tie_in_one_image_passes() -> None:
    def perturb(run: int, outputs: Outputs) -> Outputs:
        outputs[1][0, 0, 0] += 0.5 * (run == 0)  # a little of one image, which decides no pixel of the many
        return outputs

    assert runs_until_decided(perturb) == (gate.LEAST_RUNS, True), "the first image is outvoted by two more"


def test_a_fault_in_most_images_does_not_pass_as_ties() -> None:
    def perturb(run: int, outputs: Outputs) -> Outputs:
        outputs[1][0, 0, 0, 0] += 0.5 * ((run + 1) % 3 > 0)
        return outputs

    runs, passed = runs_until_decided(perturb)
    assert not passed
    assert gate.TOO_MANY < runs <= gate.MOST_RUNS


@pytest.mark.parametrize("seed", range(10))
def test_ties_in_one_image_of_eight_pass_in_large_batches(seed: int) -> None:
    """Each slot is decided by images of its own, so that the number of slots does not matter."""

    def model(images: Images) -> Outputs:
        logits, masks = right(images)
        tied = [np.random.default_rng([seed, *image[:2].flat]).uniform() < 1 / 8 for image in images]
        masks[:, 0, 0, 0] += 0.5 * np.array(tied)
        return logits, masks

    assert verdict(model, InputSpec(height=32, width=64, batch=16)) is None


@pytest.mark.parametrize("spec", [DYNAMIC, FIXED, InputSpec(height=32, width=32)])
def test_an_engine_that_is_right_once_does_not_pass(spec: InputSpec) -> None:
    """As one whose recorded graph is wrong, and one that returns what it returned before."""
    before: dict[tuple[int, ...], Outputs] = {}
    assert verdict(lambda images: before.setdefault(images.shape, right(images)), spec) is not None


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("change", [lose_every_segment, call_everything_another_class, call_everything_nothing])
def test_what_a_user_would_see_counts_in_every_precision(change: Change, precision: str) -> None:
    spec = InputSpec(height=64, width=64)
    findings = gate.check(changed(change), right, spec, TOLERANCES[precision], lambda _done, _total: None)
    assert gate.wrong_slots(findings, TOLERANCES[precision])


def test_what_is_wrong_for_every_image_is_told_soon() -> None:
    def perturb(_run: int, outputs: Outputs) -> Outputs:
        outputs[1][:, 0, 0] += 0.5
        return outputs

    assert runs_until_decided(perturb) == (gate.TOO_MANY, False)


def test_too_little_agreement_is_told_at_once() -> None:
    assert runs_until_decided(lambda _run, outputs: (-outputs[0], -outputs[1])) == (1, False)


def test_sizes_are_run_with_the_largest_batch_and_the_usual_one_with_all_if_there_are_few() -> None:
    assert gate.batches_by_size(DYNAMIC) == {(32, 32): [1, 3], (64, 64): [1, 2, 3], (96, 96): [3]}
    assert gate.batches_by_size(FIXED) == {(32, 64): [2]}
    many = msgspec.structs.replace(DYNAMIC, dynamic_batch=Range(1, 4, 64))
    assert gate.batches_by_size(many) == {(32, 32): [1, 64], (64, 64): [4, 64], (96, 96): [64]}


def test_an_onnx_that_gives_nan_is_no_reference() -> None:
    with pytest.raises(VerificationError, match="the ONNX model gives values that are not finite"):
        gate.check(right, changed(give_nan), FIXED, Tolerance(), lambda _done, _total: None)
