"""Each family goes from its checkpoint to an engine of TensorRT-RTX, in each precision, sizes fixed and varying.

TensorRT-RTX builds without a GPU, with TensorRT's parser and type checks. INT8 is placed in the graphs of the other
precisions, which are traced once: tests of the same weights follow each other.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from PIL import Image

from pem_edge import pem, runtime
from pem_edge.export import artifact
from pem_edge.export.cli import export
from pem_edge.export.int8 import quantize
from pem_edge.runtime.artifacts import onnx_file
from pem_edge.runtime.artifacts.manifest import METADATA_KEY, Manifest, parse_manifest, verify_manifest
from pem_edge.runtime.artifacts.sections import Engine
from pem_edge.runtime.datasets.toy_streets import ToyStreets
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.files import sha256
from reference.weights import randomized
from tests.helpers.exhaustive import mostly
from tests.helpers.gpu import has_gpu

pytestmark = pytest.mark.usefixtures("traced_once")
trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")

SIZES = {
    "static": ["--size", "64x96"],
    "dynamic": ["--size", "64x96", "--dynamic", "--min-size", "64x64", "--max-size", "128x192", "--max-batch", "2"],
}


@pytest.fixture(scope="module")
def weights(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / f"{request.param}.safetensors"
    pem.save(randomized(pem.build(request.param, num_classes=19)), path)
    return path


SMALLEST = "pem-nano"
OTHERS = ("pem-r50", "mask2former-swin-t", "proscale-r50", "eomt-s")
"""Between them and the smallest, they have every module: other variants have more of the same blocks."""


@pytest.fixture(autouse=True)
def unproved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parity of each form has tests of its own."""
    monkeypatch.setattr(artifact, "_check_parity", lambda *_: {})


@pytest.mark.parametrize(
    ("weights", "precision"),
    [
        *mostly([(SMALLEST, "fp32"), ("eomt-s", "fp32")], [(SMALLEST, "fp32")]),
        *mostly([(name, "fp16") for name in (SMALLEST, *OTHERS)], [(SMALLEST, "fp16")]),
    ],
    indirect=["weights"],
)
def test_from_the_checkpoint_to_an_engine_with_a_complete_manifest(
    weights: Path, precision: str, tmp_path: Path
) -> None:
    check_export(weights, precision, "static", tmp_path)


@pytest.mark.exhaustive  # tests of the command vary sizes, too
@pytest.mark.parametrize("weights", [SMALLEST], indirect=True)
def test_sizes_may_vary(weights: Path, tmp_path: Path) -> None:
    check_export(weights, "fp16", "dynamic", tmp_path)


def check_export(weights: Path, precision: str, sizes: str, tmp_path: Path) -> None:
    options = ["--to", "trt-rtx", "--precision", precision, *SIZES[sizes], "-o", str(tmp_path)]
    assert export.main(["--weights", str(weights), *options]) == 0
    stem = weights.stem if precision == "fp32" else f"{weights.stem}-{precision}"
    engine = tmp_path / f"{stem}.engine"
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{stem}.engine", f"{stem}.json", f"{stem}.onnx"]
    manifest = parse_manifest((tmp_path / f"{stem}.json").read_bytes(), "manifest")
    assert (manifest.variant, manifest.precision, manifest.target) == (weights.stem, precision, "trt-rtx")
    assert manifest.deform_conv == ("standard" if weights.stem == "eomt-s" else "gather")
    assert manifest.input.dynamic == (sizes == "dynamic")
    check_engine(manifest, engine)
    check_layers(manifest)
    check_source(manifest, tmp_path / f"{stem}.onnx")
    if not has_gpu():
        with pytest.raises(BackendError, match=r"^no NVIDIA GPU .*: .+$"):
            runtime.load(engine)


def check_engine(manifest: Manifest, path: Path) -> None:
    verify_manifest(manifest, path, sha256(path))
    engine = engine_of(manifest)
    assert engine.version == trt.__version__
    assert engine.compute_capabilities[:3] == ("8.0", "8.6", "8.9")
    assert (engine.plugin, engine.version_compatible, engine.hardware_compatible) == (None, False, "none")
    assert (engine.gpu == "none") is not has_gpu()
    builder = {"tensorrt_rtx", "polygraphy", "gpu", "cuda_driver", "workspace", "optimization_level", "layers_from"}
    assert {"pem-edge", "torch", "onnx", "opset"} | builder <= set(msgspec.to_builtins(manifest.built_by))


def check_layers(manifest: Manifest) -> None:
    layers = engine_of(manifest).layers
    if manifest.precision == "fp32":
        assert "float16" not in layers
        assert layers["float32"] > 100
    else:
        assert layers["float16"] > 0.4 * (layers["float16"] + layers["float32"]), "most others are casts and islands"


def check_source(manifest: Manifest, onnx: Path) -> None:
    source = engine_of(manifest).source
    assert (source.file, source.sha256) == (onnx.name, sha256(onnx))
    inside = parse_manifest(onnx_file.metadata(memoryview(onnx.read_bytes()))[METADATA_KEY].encode(), "inside")
    for field in ("input", "outputs", "classes", "thresholds", "precision", "deform_conv", "checkpoint", "parity"):
        assert getattr(manifest, field) == getattr(inside, field)
    before, after = (msgspec.to_builtins(each.built_by) for each in (inside, manifest))
    assert before.items() <= {**after, "gpu": before["gpu"]}.items()


def engine_of(manifest: Manifest) -> Engine:
    assert manifest.engine is not None
    return manifest.engine


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(3):
        Image.fromarray(ToyStreets(3, 64, 96, seed=1)[index].image).save(folder / f"{index}.png")
    return folder


@pytest.mark.parametrize(
    ("weights", "remainder"),
    mostly(
        [(SMALLEST, "fp32"), (SMALLEST, "fp16"), ("mask2former-swin-t", "fp16"), ("eomt-s", "fp16")],
        [(SMALLEST, "fp32"), (SMALLEST, "fp16")],
    ),
    indirect=["weights"],
)
def test_convolutions_are_int8_in_the_engine_s_network(
    weights: Path, remainder: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantize, "_MIN_AGREEMENT", 0.0)  # classes of random weights are nearly tied
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = ["--to", "trt-rtx", *SIZES["static"], "--precision", "int8", "--remainder", remainder]
    calibration = ["--calib", str(pictures), "-o", str(tmp_path / "out")]
    assert export.main(["--weights", str(weights), *options, *calibration]) == 0
    stem = tmp_path / "out" / f"{weights.stem}-int8"
    manifest = parse_manifest(stem.with_suffix(".json").read_bytes(), "manifest")
    assert stem.with_suffix(".engine").stat().st_size > 1e6
    assert manifest.quantization is not None
    assert manifest.quantization.placement == "tensorrt"
    assert manifest.quantization.share_of_convolutions > 0.9
    assert manifest.deform_conv == ("standard" if weights.stem == "eomt-s" else "gather")
    assert not any(".deform." in name for name in manifest.quantization.layers)
    # Each convolution has a quantized input; constant weights are quantized ahead of the build.
    layers = engine_of(manifest).layers
    assert layers["int8"] > len(manifest.quantization.layers)
    assert ("float16" in layers) == (remainder == "fp16")
