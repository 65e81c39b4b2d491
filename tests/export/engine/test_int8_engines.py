"""Variants in INT8 go to an engine of TensorRT-RTX, whatever the precision of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import pem
from export import artifact, cli, int8
from pem.variants import VARIANTS
from runtime import manifest as manifests
from runtime.toy_streets import ToyStreets
from tests.helpers.weights import randomised

pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(3):
        Image.fromarray(ToyStreets(3, 64, 96, seed=1)[index].image).save(folder / f"{index}.png")
    return folder


PEM = [(variant, remainder) for variant in sorted(VARIANTS) if "pem" in variant for remainder in ("fp32", "fp16")]
# The second family takes minutes each; these two have every module of it.
CASES = [*PEM, ("mask2former-r50", "fp32"), ("proscale-swin-t", "fp16")]


@pytest.mark.parametrize(("variant", "remainder"), CASES)
def test_convolutions_are_int8_in_the_engine_s_network(
    variant: str, remainder: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact, "_prove", lambda *_: {})  # parity of each form has tests of its own
    monkeypatch.setattr(int8, "_BROKEN", 0.0)  # classes of random weights are nearly tied
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    weights = tmp_path / f"{variant}.safetensors"
    pem.save(randomised(pem.build(variant, num_classes=15)), weights)
    options = ["--to", "trt-rtx", "--size", "64x96", "--precision", "int8", "--remainder", remainder]
    calibration = ["--calib", str(pictures), "-o", str(tmp_path / "out")]
    assert cli.main(["--weights", str(weights), *options, *calibration]) == 0
    stem = tmp_path / "out" / f"{variant}-int8"
    manifest = manifests.parse(stem.with_suffix(".json").read_bytes(), "manifest")
    assert stem.with_suffix(".engine").stat().st_size > 1e6
    assert manifest.engine is not None
    assert manifest.quantization is not None
    assert manifest.quantization.placement == "tensorrt"
    assert manifest.quantization.share_of_convolutions > 0.9
    # Each convolution has a quantised input; constant weights are quantised ahead of the build.
    assert manifest.engine.layers["int8"] > len(manifest.quantization.layers)
    assert ("float16" in manifest.engine.layers) == (remainder == "fp16")
