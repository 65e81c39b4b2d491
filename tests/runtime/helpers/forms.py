"""Both forms of the contest for pixels, side by side."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.postprocess.acceptance import Candidates, Contest, candidates
from runtime.postprocess.compiled_contest import CompiledContest
from runtime.postprocess.native import build, library
from runtime.postprocess.numpy_contest import NumpyContest
from tests.runtime.helpers import published
from tests.runtime.helpers.scenes import Scene

ROUNDING = 2e-5
"""Confidences closer than this, relatively, and masks closer to 0, are ties for single precision."""


def compiled(instruction_set: str | None = None) -> library.Functions:
    """The compiled functions. Skips the test where no compiler could make them, or the processor cannot run them."""
    path = build.library_path()
    if not path.is_file():
        try:
            build.find_compiler()
        except build.CompileError as error:
            pytest.skip(str(error))
        pytest.fail("the merge was not compiled since its sources changed: python -m runtime.postprocess.native.build")
    best = library.functions(path)
    names = list(build.instruction_sets())
    if instruction_set and names.index(instruction_set) < names.index(best.instruction_set):
        pytest.skip(f"this processor has no {instruction_set}")
    return library.functions(path, instruction_set)


def contests(
    scene: Scene, score_threshold: float, functions: library.Functions
) -> tuple[Candidates, Contest, Contest] | None:
    """The candidates, their contest in NumPy and the compiled one; None if there are no candidates."""
    among = candidates(scene.logits, score_threshold)
    if not len(among.queries):
        return None
    ours = NumpyContest(scene.masks, among.queries, among.scores, scene.geometry)
    theirs = CompiledContest(scene.masks, among.queries, among.scores, scene.geometry, functions)
    return among, ours, theirs


def ties(scene: Scene, among: Candidates) -> NDArray[np.bool_]:
    """The pixels, bool (H, W), at which rounding may decide: who wins, or whether a mask reaches 0.5."""
    masks = published.resized(scene.masks[among.queries], **scene.sizes)
    with np.errstate(over="ignore"):
        confidence = among.scores[:, None, None] / (1 + np.exp(-masks))
    best = confidence.max(axis=0)
    close = confidence >= best * (1 - ROUNDING) - np.finfo(np.float32).tiny
    tied: NDArray[np.bool_] = (close.sum(axis=0) > 1) | (np.abs(masks) < ROUNDING * (1 + np.abs(masks).max())).any(
        axis=0
    )
    return tied
