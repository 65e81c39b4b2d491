"""Random predictions to postprocess, for property tests."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from reference.scenes import Scene


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Return outputs at any sizes and crops, of one or more queries, from all dropped to all kept."""
    grid, image, output = zip(draw(_sides()), draw(_sides()), strict=True)
    geometry = Geometry((4 * grid[0], 4 * grid[1]), image, output)
    queries, classes = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    confidence = draw(st.sampled_from([0.0, 2.0, 5.0]))
    return Scene(_logits(rng, queries, classes, confidence), _masks(rng, queries, grid, draw(_looks())), geometry)


@st.composite
def _sides(draw: st.DrawFn) -> tuple[int, int, int]:
    """Return height or width of mask grid, image and output."""
    grid = draw(st.integers(1, 40))
    image = draw(st.one_of(st.just(4 * grid), st.integers(1, 4 * grid)))
    return grid, image, draw(st.one_of(st.just(image), st.integers(1, 300)))


def _looks() -> st.SearchStrategy[tuple[str, float, float]]:
    """Return kind of mask, amplitude and mean of its logits."""
    kinds = st.sampled_from(["noise", "blobs", "constant", "same"])
    return st.tuples(kinds, st.sampled_from([0.0, 1.0, 4.0, 8.0]), st.sampled_from([-6.0, -2.0, 0.0, 2.0]))


def _logits(rng: np.random.Generator, queries: int, classes: int, confidence: float) -> NDArray[np.float32]:
    logits = rng.normal(0, 1, (queries, classes + 1))
    logits[np.arange(queries), rng.integers(0, classes + 1, queries)] += confidence
    return logits.astype(np.float32)


def _masks(
    rng: np.random.Generator, queries: int, grid: tuple[int, int], look: tuple[str, float, float]
) -> NDArray[np.float32]:
    kind, amplitude, mean = look
    coarse = {"noise": grid, "blobs": (4, 5), "constant": (1, 1), "same": (3, 3)}[kind]
    cells = rng.normal(mean, amplitude, (1 if kind == "same" else queries, *coarse)).astype(np.float32)
    masks = np.stack([cv2.resize(cell, grid[::-1], interpolation=cv2.INTER_LINEAR) for cell in cells])
    return np.ascontiguousarray(np.broadcast_to(masks.reshape(-1, *grid), (queries, *grid)))
