"""Tiles resize exactly as the published two steps do, and their bounds hold."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings

from pem_edge.runtime.inference.postprocess.tiles import tiling
from reference.scenes import Scene
from tests.runtime.helpers import published
from tests.runtime.helpers.random_scenes import scenes


@settings(max_examples=200, deadline=None)
@given(scenes())
def test_tiles_cover_the_output_with_the_published_resizing(scene: Scene) -> None:
    tiles = tiling(scene.geometry)
    covered = np.zeros(scene.geometry.output_size, np.int64)
    ours = np.empty((len(scene.masks), *scene.geometry.output_size), np.float32)
    for tile in tiles.tiles:
        covered[tile.out] += 1
        ours[:, tile.row.out, tile.column.out] = tile.interpolate(scene.masks, slice(None))
    assert (covered == 1).all()
    assert tiles.areas.sum() == covered.size
    np.testing.assert_allclose(ours, published.resized(scene.masks, **scene.sizes), atol=1e-4)


@settings(max_examples=100, deadline=None)
@given(scenes())
def test_no_value_leaves_its_tiles_bounds(scene: Scene) -> None:
    tiles = tiling(scene.geometry)
    low, high = tiles.bounds(scene.masks)
    for index, tile in enumerate(tiles.tiles):
        values = tile.interpolate(scene.masks, slice(None))
        rounding = 1e-5 * np.abs(values).max()
        assert (values.min(axis=(1, 2)) >= low[:, index] - rounding).all()
        assert (values.max(axis=(1, 2)) <= high[:, index] + rounding).all()
