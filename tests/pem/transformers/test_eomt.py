"""EoMT of transformers computes here what it computes there, as a module and as graphs, at its size and at others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor
from transformers import EomtForUniversalSegmentation

from pem_edge import pem
from pem_edge.export.graph import tracing
from pem_edge.export.graph.operation_forms import Forms
from pem_edge.export.graph.rewrites import prepare
from pem_edge.runtime.artifacts.manifest import InputSpec
from reference import graph_runners
from reference.huggingface import eomt
from reference.published_models import LOGITS_TOLERANCE, MASKS_TOLERANCE

Models = tuple[pem.MaskClassifier, EomtForUniversalSegmentation]
Case = tuple[Tensor, tuple[Tensor, Tensor]]

SIDE, OTHER = (160, 160), (96, 128)
"""The size of training, and one for which positions are resampled."""


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Return our model of a folder, and theirs in double precision."""
    theirs = eomt.build("small", 7, 20, SIDE[0])
    ours = pem.load(eomt.write(theirs, tmp_path_factory.mktemp("small")), print)
    return ours, theirs.double()


@pytest.fixture(scope="module")
def cases(models: Models) -> dict[tuple[int, int], Case]:
    """Return an image and what theirs computes from it, by size; theirs takes one size after another."""
    ours, theirs = models
    return {size: _case(ours, theirs, size) for size in (SIDE, OTHER)}


def _case(ours: pem.MaskClassifier, theirs: EomtForUniversalSegmentation, size: tuple[int, int]) -> Case:
    image = torch.randint(0, 256, (1, *size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    if size != (theirs.config.image_size,) * 2:
        eomt.resample(theirs, *size)
    with torch.inference_mode():
        found = theirs(pixel_values=ours.normalize(image).double())
    return image, (found.class_queries_logits, found.masks_queries_logits)


def assert_same(found: Any, expected: tuple[Tensor, Tensor]) -> None:
    logits, masks = (np.asarray(each) for each in found)
    np.testing.assert_allclose(logits, expected[0].numpy(), rtol=0, atol=LOGITS_TOLERANCE)
    np.testing.assert_allclose(masks, expected[1].numpy(), rtol=0, atol=MASKS_TOLERANCE)


@pytest.mark.parametrize("size", [SIDE, OTHER])
def test_modules_compute_the_same(models: Models, cases: dict[tuple[int, int], Case], size: tuple[int, int]) -> None:
    image, expected = cases[size]
    assert_same(models[0](image), expected)


@pytest.mark.parametrize("size", [pytest.param(SIDE, marks=pytest.mark.exhaustive), OTHER])
def test_graphs_compute_the_same(
    models: Models, cases: dict[tuple[int, int], Case], size: tuple[int, int], tmp_path: Path
) -> None:
    image, expected = cases[size]
    spec, path = InputSpec(height=size[0], width=size[1]), tmp_path / "model.onnx"
    onnx.save(tracing.to_onnx(prepare(models[0], Forms(), size), tracing.example_for(spec)), path)
    for run in graph_runners.RUNNERS.values():
        assert_same(run(path, image.numpy()), expected)


@pytest.mark.exhaustive
def test_the_size_of_public_models_computes_the_same(tmp_path: Path) -> None:
    """As trained for COCO: 640x640, 200 queries, 133 classes."""
    theirs = eomt.build("small", 133)
    ours = pem.load(eomt.write(theirs, tmp_path), print)
    image, expected = _case(ours, theirs.double(), (640, 640))
    assert_same(ours(image), expected)
