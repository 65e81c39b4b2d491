"""At a fixed size a module is traced once; what that cannot translate is traced again, and computes the same."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from pem_edge import pem
from pem_edge.export.graph import tracing
from pem_edge.export.graph.operation_forms import Forms
from pem_edge.export.graph.rewrites import prepare
from pem_edge.runtime.artifacts.manifest import InputSpec
from tests.helpers.exhaustive import mostly

FORMS = {
    "pem-nano": [
        Forms(),
        Forms(precision="fp16"),
        Forms("native", "transposed"),
        Forms("gather"),
        Forms("plugin", precision="fp16"),
    ],
    "mask2former-swin-t": [Forms(), Forms("gather", precision="fp16"), Forms("nvidia")],
    "proscale-r50": [Forms(), Forms("nvidia", precision="fp16")],
    "eomt-s": [Forms(), Forms(attention="fused", precision="fp16")],
}
CASES = [(variant, forms) for variant, several in FORMS.items() for forms in several]


@pytest.mark.parametrize(("variant", "forms"), mostly(CASES, [CASES[0], CASES[5], CASES[10]]))
def test_no_form_of_our_models_is_decomposed(variant: str, forms: Forms, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_program: ExportedProgram, *_arguments: object) -> ExportedProgram:
        raise AssertionError("decomposed")

    monkeypatch.setattr(ExportedProgram, "run_decompositions", refuse)
    model = prepare(pem.build(variant, num_classes=5), forms, (64, 64))
    proto = tracing.to_onnx(model, tracing.example_for(InputSpec(height=64, width=64)))
    assert [output.name for output in proto.graph.output] == ["logits", "masks"]


class WritesInPlace(nn.Module):
    """Writes to a part of a tensor, which ONNX cannot say."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        written = image * 2
        written[:, 0] = 7.0
        return written, image + written


class HasNoTranslation(nn.Module):
    """Computes what PyTorch's exporter knows only in parts."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return torch.nn.functional.huber_loss(image, image.flip(1), reduction="none"), image * 2


@pytest.mark.parametrize("module", [WritesInPlace(), HasNoTranslation()])
def test_what_needs_decomposition_gets_it(module: nn.Module) -> None:
    image = torch.linspace(-2, 3, 12).reshape(3, 4)
    expected = [each.numpy() for each in module(image)]
    session = onnxruntime.InferenceSession(tracing.to_onnx(module, image).SerializeToString())
    for found, wanted in zip(session.run(None, {"image": image.numpy()}), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


def test_the_tracer_is_left_as_it_was() -> None:
    before = getattr(torch.fx.config, "do_not_emit_stack_traces", None)
    tracing.to_onnx(WritesInPlace(), torch.ones(3, 4))
    assert getattr(torch.fx.config, "do_not_emit_stack_traces", None) == before
