"""Says what a model in INT8 has lost and gained, and what may help."""

from __future__ import annotations

from collections.abc import Iterator

from pem_edge.runtime import backends
from pem_edge.runtime.artifacts.manifest import Manifest
from pem_edge.runtime.artifacts.sections import Quantization
from pem_edge.runtime.installation import how_to_install

_LITTLE_GAIN = 1.2
_MUCH_LOSS = 1.0  # points of PQ or mean IoU
_LOW_AGREEMENT = 95.0  # percent of pixels


def verdict(manifest: Manifest) -> str:
    """Return a line on an INT8 model: the pixels that keep their class, its score if there were labels, its speed."""
    found = manifest.quantization
    assert found is not None
    pixels = "the pixels of segments" if manifest.task == "instance" else "pixels"
    kept = f"INT8 gives {found.agreement:.2f} % of {pixels} the class that single precision gives them"
    scores = found.pq or found.miou
    score = f", {found.measure} {scores['fp32']:.2f} before and {scores['int8']:.2f} after" if scores else ""
    return f"{kept}{score}, on the pictures of --calib themselves, so others may lose more; {_speed(found)}"


def advice(manifest: Manifest) -> Iterator[str]:
    """Yield what may help an INT8 model that lost much or gained little, a line each."""
    found = manifest.quantization
    assert found is not None
    loss = _notable_loss(found)
    if loss is not None and not found.sensitivity:
        yield f"{loss}: --max-pq-drop 0.5 keeps the layers that cost most in floating point, see docs/int8.md"
    if _gains_little(found) and _openvino_is_lacking(manifest):
        yield f"OpenVINO often gains more from INT8 on CPUs: {how_to_install('openvino')}, then pem-bench tells"


def _speed(found: Quantization) -> str:
    ratio = _ratio(found)
    if ratio is None:
        return "its speed was not measured here"
    other, place = _other(found), f"on this machine, in {found.timed_in}"
    if ratio > 1:
        return f"{place}, it is {ratio:.2f} times as fast as {other}"
    return (
        f"{place}, it is NOT FASTER than {other} ({ratio:.2f} times its speed): use {other} here; INT8 is for CPUs "
        "with VNNI or AMX and, with --to trt, for GPUs"
    )


def _ratio(found: Quantization) -> float | None:
    """Return how many times as fast as in floating point the model is, None if that was not measured."""
    return found.milliseconds[_other(found)] / found.milliseconds["int8"] if found.milliseconds else None


def _other(found: Quantization) -> str:
    (other,) = found.milliseconds.keys() - {"int8"}
    return other


def _notable_loss(found: Quantization) -> str | None:
    scores = found.pq or found.miou
    if scores and (loss := scores["fp32"] - scores["int8"]) > _MUCH_LOSS:
        return f"{loss:.1f} points of {found.measure} are a notable loss"
    if found.agreement < _LOW_AGREEMENT:
        return f"{100 - found.agreement:.1f} % of pixels with another class are a notable loss"
    return None


def _gains_little(found: Quantization) -> bool:
    ratio = _ratio(found)
    return ratio is not None and ratio < _LITTLE_GAIN and found.timed_in == "onnxruntime"


def _openvino_is_lacking(manifest: Manifest) -> bool:
    """Return whether OpenVINO could run the model, but is not installed, nor an ONNX Runtime for GPUs."""
    lacking = {"openvino", "onnxruntime-tensorrt"}.isdisjoint(backends.available())
    return lacking and backends.can_run("openvino", manifest)
