"""Artifacts of version 0.1.0 load, say the same of themselves, and give the same maps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from pem_edge import runtime
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.inference import postprocess

FOLDER = Path(__file__).parents[2] / "data" / "artifacts-0.1.0"


AGREEMENT = {"single": 0.99, "int8": 0.9}
"""Minimum fraction of equal pixels on any processor: some are nearly tied, and INT8 saturates where VNNI is missing."""


@pytest.mark.parametrize("name", AGREEMENT)
def test_maps_are_those_that_version_0_1_0_made(name: str) -> None:
    image, panoptic, semantic = (read("maps")[key] for key in ("image", name, f"{name}_semantic"))
    assert len(np.unique(panoptic)) > 2
    with runtime.load(FOLDER / f"{name}.onnx", "onnxruntime", threads=1) as segmenter:
        result = segmenter(image)
    assert agreement(result.panoptic, panoptic) > AGREEMENT[name]
    assert np.mean(result.semantic == semantic) > AGREEMENT[name]
    if name == "single":
        for found, recorded in zip(result.outputs(), outputs(name), strict=True):
            np.testing.assert_allclose(found, recorded, rtol=0, atol=1e-3)


def agreement(found: NDArray[np.int32], expected: NDArray[np.int32]) -> float:
    """Return the fraction of pixels in the same segments, whatever the segments' numbers."""
    in_same = (np.bincount(found[expected == number]).max() for number in np.unique(expected))
    return float(sum(in_same) / expected.size)


@pytest.mark.parametrize("name", ["single", "int8"])
def test_the_same_outputs_give_the_same_maps_to_the_pixel(name: str) -> None:
    manifest = artifact.read(FOLDER / f"{name}.onnx").manifest
    logits, masks = outputs(name)
    thresholds = manifest.thresholds
    panoptic, _ = postprocess.panoptic(
        logits,
        masks,
        **SIZES,
        things={label.id for label in manifest.classes if label.isthing},
        score_threshold=thresholds.score,
        overlap_threshold=thresholds.overlap,
    )
    np.testing.assert_array_equal(panoptic, read("maps")[name])
    np.testing.assert_array_equal(postprocess.semantic(logits, masks, **SIZES), read("maps")[f"{name}_semantic"])


SIZES: dict[str, tuple[int, int]] = {"padded_size": (64, 96), "image_size": (64, 85), "output_size": (90, 120)}


def read(name: str) -> dict[str, NDArray[Any]]:
    with np.load(FOLDER / f"{name}.npz") as arrays:
        return dict(arrays)


def outputs(name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    recorded = read("outputs")
    return recorded[f"{name}_logits"], recorded[f"{name}_masks"]


@pytest.mark.parametrize("name", ["single", "int8"])
def test_nothing_in_their_manifests_is_lost(name: str) -> None:
    written = json.loads((FOLDER / f"{name}.json").read_bytes())
    manifest = artifact.read(FOLDER / f"{name}.onnx").manifest
    assert contains(msgspec.to_builtins(manifest), written)


def contains(found: Any, written: Any) -> bool:
    """Return whether all that is in ``written`` is in ``found``."""
    if isinstance(written, dict):
        return all(key in found and contains(found[key], value) for key, value in written.items())
    if isinstance(written, list):
        return len(found) == len(written) and all(map(contains, found, written))
    return bool(found == written)
