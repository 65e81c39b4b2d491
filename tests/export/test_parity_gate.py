"""The parity check of an export stops what is wrong, and runs at the sizes that an artifact is for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pem_edge import pem
from pem_edge.export import parity
from pem_edge.pem import MaskClassifier
from pem_edge.runtime.artifacts.manifest import InputSpec, Range
from pem_edge.runtime.artifacts.provenance import Difference, Tolerance
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.errors import BrokenBackend, ExportError
from pem_edge.runtime.verification.differences import compare, judge

GOOD = Difference("64x96", logits=1e-5, masks=1e-3, agreement=1.0)
WRONG = Difference("64x96", logits=2.0, masks=9.0, agreement=0.4)


def test_one_backend_that_fails_is_enough_to_stop() -> None:
    parities = {"openvino": judge([GOOD] * 5, Tolerance()), "onnxruntime": judge([WRONG] * 5, Tolerance())}
    with pytest.raises(ExportError, match=r"parity failed in onnxruntime: 0 of 5 images .* nothing was written"):
        parity.require(parities)
    parity.require({"openvino": parities["openvino"]})


def test_nothing_is_written_where_no_backend_could_prove_it() -> None:
    def broken() -> Backend:
        raise BrokenBackend("openvino cannot be imported")

    said: list[str] = []
    found = parity.measure(pem.build("pem-nano", 2), {"openvino": broken}, [(1, 64, 64)], say=said.append)
    assert said[-1] == "openvino cannot be imported; it is left out of the parity check"
    with pytest.raises(ExportError, match="no backend ran the graph"):
        parity.require(found)


def test_outputs_that_are_not_finite_fail_even_where_the_module_has_the_same() -> None:
    nothing = np.full((1, 4, 3), np.nan, np.float32), np.full((1, 4, 8, 8), np.nan, np.float32)
    with np.errstate(all="ignore"):
        found = compare(nothing, nothing, "32x32")
    with pytest.raises(ExportError, match="parity failed in onnxruntime: 0 of 3"):
        parity.require({"onnxruntime": judge([found] * 3, Tolerance())})


def test_a_static_artifact_is_tried_at_its_size_and_a_dynamic_one_at_several() -> None:
    static = InputSpec(height=64, width=96, batch=2)
    assert set(parity.sizes_for(static)) == {(2, 64, 96)}
    dynamic = replace_dynamic(InputSpec(height=128, width=256))
    assert {(1, 128, 256), (1, 64, 96), (2, 64, 256)} <= set(parity.sizes_for(dynamic))


def test_every_size_is_among_the_first_where_the_least_is_the_usual_one() -> None:
    """No more batches are tried than there are sizes, if all of those are right."""
    sizes = parity.sizes_for(replace_dynamic(InputSpec(height=64, width=96)))
    assert len(sizes) == 5
    assert len(set(sizes)) == len(set(sizes[: len(set(sizes))])) > 1


def test_the_worst_of_all_images_is_what_a_failure_names() -> None:
    found = [Difference("64x96", 1e-5, 9e-3, 1.0), *[Difference("64x128", 0.7, 8e-3, 0.42)] * 4]
    with pytest.raises(ExportError, match=r"0\.7 of difference.*0\.009 in mask logits.*42\.00% .*64x96, 64x128"):
        parity.require({"onnxruntime": judge(found, Tolerance())})


def replace_dynamic(spec: InputSpec) -> InputSpec:
    return InputSpec(
        height=spec.height,
        width=spec.width,
        dynamic_batch=Range(1, 1, 4),
        dynamic_height=Range(64, 128, 512),
        dynamic_width=Range(96, 256, 512),
    )


class Computed:
    """Stands for a backend: computes what the module does, off by ``error`` on the first batches."""

    name = "computed"

    def __init__(self, model: MaskClassifier, error: float, wrong: int) -> None:
        self._model, self._error, self._wrong, self.runs = model, error, wrong, 0

    def __call__(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.runs += 1
        with torch.inference_mode():
            logits, masks = self._model(torch.from_numpy(images))
        return logits.numpy() + np.float32(self._error if self.runs <= self._wrong else 0.0), masks.numpy()

    def close(self) -> None:
        """Free nothing."""


@pytest.mark.parametrize(
    ("wrong", "runs", "within"),
    [(0, parity.ENOUGH, parity.ENOUGH), (1, 5, 4), (5, 5, 0)],
    ids=["right", "once", "wrong"],
)
def test_more_images_follow_only_where_one_is_beyond_the_tolerance(wrong: int, runs: int, within: int) -> None:
    model = pem.load("demo")
    backend, before = Computed(pem.load("demo"), 0.01, wrong), {k: x.clone() for k, x in model.state_dict().items()}
    loaders: Any = {"computed": lambda: backend}
    found = parity.measure(model, loaders, [(1, 64, 96)] * 5)["computed"]
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert (backend.runs, found.images, found.within_tolerance) == (runs, runs, within)
