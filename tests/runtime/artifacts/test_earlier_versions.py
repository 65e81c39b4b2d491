"""Artifacts of version 0.1.0 load, say the same of themselves, and give the same maps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pem_edge import runtime
from pem_edge.runtime.artifacts import artifact

FOLDER = Path(__file__).parents[2] / "data" / "artifacts-0.1.0"


AGREEMENT = {"single": 0.99, "int8": 0.9}
"""Least share of equal pixels: some are nearly tied, and INT8 saturates on processors without VNNI."""


@pytest.mark.parametrize("name", AGREEMENT)
def test_maps_are_those_that_version_0_1_0_made(name: str) -> None:
    with np.load(FOLDER / "maps.npz") as maps:
        image, panoptic, semantic = (maps[key] for key in ("image", name, f"{name}_semantic"))
    assert len(np.unique(panoptic)) > 2
    with runtime.load(FOLDER / f"{name}.onnx", "onnxruntime", threads=1) as segmenter:
        result = segmenter(image)
        assert np.mean(result.panoptic == panoptic) > AGREEMENT[name]
        assert np.mean(result.semantic == semantic) > AGREEMENT[name]


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
