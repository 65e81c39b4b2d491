"""Exported graphs compute what the published code computes: every model, every form, fixed and varying sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from torch import Tensor, nn
from torch.export import Dim

from pem_edge import pem
from pem_edge.export.graph import tracing
from pem_edge.export.graph.operation_forms import DeformConvForm, Forms
from pem_edge.export.graph.rewrites import prepare
from pem_edge.runtime.artifacts.manifest import InputSpec, Range
from reference import published_models
from reference.graph_runners import RUNNERS, with_onnxruntime
from tests.helpers.exhaustive import mostly

SPECS = {
    "static": InputSpec(height=128, width=256),
    "dynamic": InputSpec(
        height=128,
        width=256,
        dynamic_batch=Range(1, 1, 2),
        dynamic_height=Range(64, 128, 1024),
        dynamic_width=Range(64, 256, 2048),
    ),
}


class AfterNormalization(nn.Module):
    """The part of the model behind the normalization, to which padding that is not made of bytes can be fed."""

    def __init__(self, model: pem.MaskClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.segment(pixels)


def runners(form: DeformConvForm) -> list[Any]:
    """Return the backends that have the form's operators."""
    return [with_onnxruntime] if form == "native" else [*RUNNERS.values()]


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, pem.MaskClassifier]:
    return request.param, pem.load(
        published_models.write_checkpoint(request.param, tmp_path_factory.mktemp("checkpoint"))
    )


USUAL = [
    ("pem_stdc1_cityscapes", "standard", "static"),
    ("pem_stdc1_cityscapes", "gather", "static"),
    ("pem_stdc1_cityscapes", "native", "static"),
    ("proscale_swint_coco", "standard", "static"),
    ("proscale_swint_coco", "gather", "static"),
]
"""Between them, they have every module but one backbone, and every form."""

# Sizes that vary take minutes to trace. These models have every module that the others have; of the two that differ by
# their classes alone, one is here.
OTHERS = [
    ("pem_r50_cityscapes", "native", "static"),
    ("pem_stdc2_cityscapes", "gather", "static"),
    ("mask2former_r50_coco", "gather", "static"),
    ("proscale_r50_coco", "standard", "static"),
    ("pem_stdc1_cityscapes", "standard", "dynamic"),
    ("proscale_swint_coco", "standard", "dynamic"),
]


@pytest.mark.parametrize(("model", "form", "spec"), mostly([*USUAL, *OTHERS], USUAL), indirect=["model"])
def test_graph_matches_published_outputs(
    model: tuple[str, pem.MaskClassifier], form: DeformConvForm, spec: str, tmp_path: Path
) -> None:
    name, module = model
    prepared = prepare(module, Forms(deform_conv=form))
    proto = tracing.to_onnx(prepared, tracing.example_for(SPECS[spec]), dynamic=tracing.dynamic_dims(SPECS[spec]))
    onnx.save(proto, tmp_path / "model.onnx")
    for run in runners(form):
        logits, masks = run(tmp_path / "model.onnx", published_models.image("128x256").numpy())
        published_models.assert_golden(name, "128x256", logits, masks)


@pytest.mark.parametrize("model", ["pem_r50_cityscapes"], indirect=True)
@pytest.mark.parametrize(
    ("form", "varying"),
    mostly([("standard", False), ("gather", True)], [("standard", False)]),
)
def test_graph_behind_the_normalization_matches_where_padding_is_published(
    model: tuple[str, pem.MaskClassifier], form: DeformConvForm, varying: bool, tmp_path: Path
) -> None:
    name, module = model
    pixels = published_models.pixels(module, "100x150")
    assert pixels.shape == (1, 3, 128, 160)
    dims = {2: 32 * Dim("rows", min=2, max=32), 3: 32 * Dim("columns", min=2, max=64)} if varying else None
    behind = AfterNormalization(prepare(module, Forms(deform_conv=form)))
    onnx.save(tracing.to_onnx(behind, pixels, dynamic=dims), tmp_path / "model.onnx")
    for run in runners(form):
        logits, masks = run(tmp_path / "model.onnx", pixels.numpy())
        published_models.assert_golden(name, "100x150", logits, masks)
