"""Both implementations of the pixel assignment, for comparison with each other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pem_edge.runtime.inference.postprocess.acceptance import Candidates, PixelAssignment
from pem_edge.runtime.inference.postprocess.compiled_assignment import CompiledAssignment
from pem_edge.runtime.inference.postprocess.native import build, library
from pem_edge.runtime.inference.postprocess.numpy_assignment import NumpyAssignment
from reference.scenes import Scene
from tests.runtime.helpers import published

ROUNDING = 5e-7
"""Maximum error of an interpolated mask relative to its largest value, and of a confidence relative to itself."""


def compiled(instruction_set: str | None = None) -> library.Functions:
    """Return the compiled functions. Skip the test if they cannot be compiled or the processor cannot run them."""
    path = build.library_path()
    if not path.is_file():
        try:
            build.find_compiler()
        except build.CompileError as error:
            pytest.skip(str(error))
        pytest.fail(f"the merge was not compiled since its sources changed: {library.BUILD_COMMAND}")
    best = library.functions(path)
    names = list(build.instruction_sets())
    if instruction_set and names.index(instruction_set) < names.index(best.instruction_set):
        pytest.skip(f"this processor has no {instruction_set}")
    return library.functions(path, instruction_set)


def assignments(
    scene: Scene, among: Candidates, functions: library.Functions
) -> tuple[PixelAssignment, PixelAssignment]:
    """Return the assignment in NumPy, and compiled."""
    taking_part = scene.masks, among.queries, among.scores, scene.geometry
    return NumpyAssignment(*taking_part), CompiledAssignment(*taking_part, functions)


def ties(scene: Scene, among: Candidates) -> NDArray[np.bool_]:
    """Return the pixels, bool (H, W), at which rounding may decide: who wins, or whether a mask reaches 0.5."""
    masks = published.resized(scene.masks[among.queries], **scene.sizes)
    rounding = ROUNDING * (2 + np.abs(masks).max())
    with np.errstate(over="ignore"):
        confidence = among.scores[:, None, None] / (1 + np.exp(-masks))
    close = confidence >= confidence.max(axis=0) * (1 - rounding) - np.finfo(np.float32).tiny
    tied: NDArray[np.bool_] = (close.sum(axis=0) > 1) | (np.abs(masks) < rounding).any(axis=0)
    return tied
