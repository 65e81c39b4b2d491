"""The weights that come with the package, and that the artifact that comes with the runtime was made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pem_edge import pem, runtime
from pem_edge.export.cli import export
from pem_edge.pem import checkpoints
from pem_edge.runtime import files
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.datasets.toy_streets import LABELS, ToyStreets


def test_the_weights_are_a_small_nano_with_the_streets_classes() -> None:
    assert checkpoints.DEMO_FILE.stat().st_size < 8_000_000
    assert checkpoints.open_checkpoint("demo").description.labels == LABELS
    model = pem.load("demo")
    assert (model.variant, model.num_classes) == ("pem-nano", len(LABELS))


def test_the_artifact_was_made_from_the_weights_and_says_so() -> None:
    found = artifact.read("demo")
    assert found.manifest.checkpoint.sha256 == files.sha256(checkpoints.DEMO_FILE)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_the_artifact_computes_what_the_weights_compute(backend: str) -> None:
    image = ToyStreets(1, seed=7)[0].image
    with torch.inference_mode():
        logits, masks = pem.load("demo")(torch.from_numpy(image.copy())[None])
    with runtime.load("demo", backend) as segmenter:
        result = segmenter(image)
    np.testing.assert_allclose(result.outputs()[0], logits[0].numpy(), rtol=0, atol=1e-3)
    np.testing.assert_allclose(result.outputs()[1], masks[0].numpy(), rtol=0, atol=5e-3)


def test_the_weights_export_by_name(tmp_path: Path) -> None:
    assert export.main(["--weights", "demo", "--size", "64x96", "-o", str(tmp_path)]) == 0
    assert artifact.read(tmp_path / "pem-nano.onnx").manifest.classes == LABELS
