"""A real artifact, small enough to build for a test: it segments flat colors."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from pem_edge.runtime.artifacts.manifest import METADATA_KEY, InputSpec, Manifest, manifest_path
from pem_edge.runtime.artifacts.sections import FileHash
from pem_edge.runtime.files import sha256
from tests.runtime.helpers.tiny_model import CLASSES, QUERIES, tiny_model

Builder = Callable[..., Path]


@pytest.fixture(params=["pyav", "opencv"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let videos be read and written by PyAV, and then by OpenCV, as where PyAV is not installed."""
    if request.param == "pyav":
        pytest.importorskip("av", reason="PyAV is not installed")
    else:
        monkeypatch.setitem(sys.modules, "av", None)
    return str(request.param)


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    """Return a function that writes an artifact ``<name>.onnx`` of the tiny model and returns its path.

    ``spec`` is the manifest's input; further keywords replace fields of the manifest. With ``lone``, the manifest is
    inside the model instead of beside it; ``rewrite`` may change the model file before it is hashed.
    """

    def write(
        spec: InputSpec | None = None,
        name: str = "tiny",
        lone: bool = False,
        rewrite: Callable[[Path], object] | None = None,
        **fields: Any,
    ) -> Path:
        spec = spec or InputSpec(height=64, width=96)
        path = tmp_path / f"{name}.onnx"
        model = tiny_model(
            "height" if spec.dynamic_height else spec.height,
            "width" if spec.dynamic_width else spec.width,
            "batch" if spec.dynamic_batch else spec.batch,
        )
        manifest = _manifest(spec, fields)
        if lone:
            helper.set_model_props(model, {METADATA_KEY: manifest.to_json().decode()})
        onnx.save(model, path)
        if rewrite:
            rewrite(path)
        if not lone:
            hashed = _manifest(spec, {"model": FileHash(path.name, sha256(path)), **fields})
            manifest_path(path).write_bytes(hashed.to_json())
        return path

    return write


def _manifest(spec: InputSpec, fields: dict[str, Any]) -> Manifest:
    return Manifest(
        **{
            "variant": "tiny",
            "input": spec,
            "outputs": {"logits": "float32", "masks": "float32"},
            "queries": QUERIES,
            "classes": CLASSES,
            "deform_conv": "standard",
            "checkpoint": FileHash("none.pth", "0" * 64),
            "built_by": {"pem-edge": "test"},
            **fields,
        }
    )


@pytest.fixture
def tiny(build: Builder) -> Path:
    """Return the tiny model, 64x96, with its manifest beside it."""
    return build()


@pytest.fixture
def flag() -> NDArray[np.uint8]:
    """RGB uint8 (64, 96, 3): a red, a white and a blue stripe of 32 columns each."""
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, :32] = 255, 0, 0
    image[:, 32:64] = 255
    image[:, 64:] = 0, 0, 255
    return image
