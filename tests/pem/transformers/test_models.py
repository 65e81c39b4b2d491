"""Folders that transformers wrote compute here what transformers computes from them, as modules and as graphs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from pem_edge import pem
from pem_edge.export.graph import tracing
from pem_edge.export.graph.operation_forms import Forms
from pem_edge.export.graph.rewrites import prepare
from pem_edge.runtime.artifacts.manifest import InputSpec
from reference import graph_runners
from reference.huggingface import folders
from reference.published_models import LOGITS_TOLERANCE, MASKS_TOLERANCE

Outputs = tuple[Tensor, Tensor]
Model = tuple[pem.MaskClassifier, Callable[[Tensor], Outputs]]

CASES = [
    ("swin-tiny", 133, 100, (96, 160)),
    ("resnet50", 7, 20, (64, 96)),
    ("swin-base", 5, 30, (160, 96)),
    ("swin-small", 150, 50, (64, 96)),
    ("swin-large", 80, 200, (96, 96)),
    ("resnet101", 19, 100, (64, 96)),
]
"""Backbone, classes, queries, and a size of which the windows leave a rest."""


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Return our model of a folder, and theirs, in double precision, as a function of pixels."""
    backbone, classes, queries, _ = request.param
    theirs = folders.build(backbone, classes, queries)
    folder = folders.write(theirs, tmp_path_factory.mktemp(backbone), {"height": 96, "width": 160})
    ours = pem.load(folder)
    assert (ours.variant, ours.num_classes, ours.num_queries) == (folders.VARIANTS[backbone], classes, queries)
    theirs.double()

    def compute(pixels: Tensor) -> Outputs:
        found = theirs(pixel_values=pixels.double())
        return found.class_queries_logits, found.masks_queries_logits

    return ours, compute


def images(size: tuple[int, int], seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (1, *size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def assert_same(found: Any, expected: Outputs) -> None:
    logits, masks = (np.asarray(each) for each in found)
    np.testing.assert_allclose(logits, expected[0].numpy(), rtol=0, atol=LOGITS_TOLERANCE)
    np.testing.assert_allclose(masks, expected[1].numpy(), rtol=0, atol=MASKS_TOLERANCE)


EACH = [pytest.param(case, case[3], id=case[0]) for case in CASES[:2]] + [
    pytest.param(case, case[3], id=case[0], marks=pytest.mark.exhaustive) for case in CASES[2:]
]
"""Deeper backbones have the same blocks; the module is also held to them at sizes of more than one window."""


@pytest.mark.parametrize(("model", "size"), EACH, indirect=["model"])
def test_modules_compute_the_same(model: Model, size: tuple[int, int]) -> None:
    ours, theirs = model
    for seed, each in enumerate((size, (224, 192))):
        image = images(each, seed)
        assert_same(ours(image), theirs(ours.normalize(image)))


@pytest.mark.parametrize(("model", "size"), EACH[:2], indirect=["model"])
def test_graphs_compute_the_same(model: Model, size: tuple[int, int], tmp_path: Path) -> None:
    ours, theirs = model
    spec, path = InputSpec(height=size[0], width=size[1]), tmp_path / "model.onnx"
    onnx.save(tracing.to_onnx(prepare(ours, Forms()), tracing.example_for(spec)), path)
    image = images(size)
    expected = theirs(ours.normalize(image))
    for run in graph_runners.RUNNERS.values():
        assert_same(run(path, image.numpy()), expected)
