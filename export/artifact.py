"""From a checkpoint to an artifact: trace, prove parity, and only then write model and manifest."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import msgspec
import onnx

from pem_edge.export import parity, workload
from pem_edge.export.graph import passes, tracing
from pem_edge.export.graph.operation_forms import Forms
from pem_edge.export.graph.rewrites import prepare, suited
from pem_edge.export.int8.quantize import Quantizer, fixed, timed
from pem_edge.export.int8.settings import Calibration
from pem_edge.pem import PEM
from pem_edge.runtime import backends
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import METADATA_KEY, FileHash, InputSpec, Manifest, Thresholds, path_of
from pem_edge.runtime.artifacts.provenance import BuiltBy, Parity
from pem_edge.runtime.errors import ExportError
from pem_edge.runtime.files import sha256, writing
from pem_edge.runtime.progress import Say


@dataclass(frozen=True)
class OnnxExport:
    """What to export, and where to.

    Attributes:
        model: The PyTorch model.
        checkpoint: The file that ``model`` was loaded from.
        output: The file to write.
        input: The sizes that the artifact takes.
        labels: The classes, in the order of the outputs.
        forms: The forms of the operations.
        thresholds: The defaults of the panoptic merge.
        compact: Whether to store weights in half precision where that is exact.
        calibration: What to calibrate on for INT8, None for floating point; what is not in INT8 is as ``forms`` says.
    """

    model: PEM
    checkpoint: Path
    output: Path
    input: InputSpec
    labels: Sequence[Label]
    forms: Forms
    thresholds: Thresholds
    compact: bool = False
    calibration: Calibration | None = None


def export_onnx(request: OnnxExport, say: Say = lambda _text: None) -> Manifest:
    """Write the ONNX model and its manifest, if the graph computes what the PyTorch model computes.

    Args:
        request: What to export.
        say: Takes remarks on progress.

    Returns:
        The manifest.

    Raises:
        ExportError: If the labels do not fit the model, parity fails, or INT8 costs too much.
        InputError: If the calibration images cannot be read.
        CalibrationError: If the calibration cannot be done.
        OutputError: If a file cannot be written. After any error, neither file is left.
    """
    _check_labels(request)
    request = replace(request, forms=suited(request.forms, request.model))
    say("tracing the graph")
    proto = _trace(request.model, request.forms, request.input)
    manifest = _describe(request)
    say(f"graph of {len(proto.graph.node)} nodes; checking parity")
    manifest = msgspec.structs.replace(manifest, parity=_prove(request, proto, manifest, say))
    if request.calibration is not None:
        proto, manifest = _quantize(request, request.calibration, proto, manifest, say)
    parameters = sum(parameter.numel() for parameter in request.model.parameters())
    manifest = msgspec.structs.replace(manifest, work=workload.count(proto, request.input, parameters))
    if request.compact:
        proto = passes.with_exact_halves(proto)
    say(f"writing {request.output}")
    return _write(request.output, proto, manifest)


def _trace(model: PEM, forms: Forms, spec: InputSpec) -> onnx.ModelProto:
    return tracing.to_onnx(prepare(model, forms), tracing.example_for(spec), dynamic=tracing.dynamic_dims(spec))


def _quantize(
    request: OnnxExport, calibration: Calibration, proto: onnx.ModelProto, manifest: Manifest, say: Say
) -> tuple[onnx.ModelProto, Manifest]:
    """Return ``proto`` in INT8, and the manifest that says what this cost and gained."""
    single, described = _runnable(request, proto, manifest)
    if request.forms.precision != "fp32" or (request.input.batch > 1 and not request.input.dynamic):
        say("tracing the graph in single precision")
        forms = replace(request.forms, precision="fp32", outputs="float32")
        # Graphs of varying sizes name some nodes otherwise, so theirs is calibrated on one of varying sizes.
        spec = request.input if request.input.dynamic else fixed(request.input)
        traced = replace(request, forms=forms, input=spec)
        single, _ = _runnable(traced, _trace(request.model, forms, spec), manifest)
    quantized, quantization = Quantizer(single, described, calibration, say).quantize(proto)
    int8 = msgspec.structs.replace(
        manifest,
        precision="int8",
        quantization=quantization,
        built_by=msgspec.structs.replace(
            manifest.built_by, remainder=manifest.precision, calibration=calibration.source
        ),
    )
    return quantized, int8 if calibration.placement != "cpu" else timed(proto, manifest, quantized, int8, say)


def _runnable(request: OnnxExport, proto: onnx.ModelProto, manifest: Manifest) -> tuple[onnx.ModelProto, Manifest]:
    """Return the graph as backends for ONNX can run it.

    Our plugin's operator is ONNX's under another name, and NVIDIA's gives way to standard ones.
    """
    if manifest.deform_conv == "nvidia":
        standard = _trace(request.model, replace(request.forms, deform_conv="standard"), request.input)
        return standard, msgspec.structs.replace(manifest, deform_conv="standard")
    if manifest.deform_conv != "plugin":
        return proto, manifest
    return passes.with_native_deform_conv(proto), msgspec.structs.replace(manifest, deform_conv="native")


def _check_labels(request: OnnxExport) -> None:
    if len(request.labels) != request.model.num_classes:
        raise ExportError(
            f"the labels name {len(request.labels)} classes, {request.checkpoint} predicts "
            f"{request.model.num_classes}: choose the labels it was trained with, with --labels"
        )


def _describe(request: OnnxExport) -> Manifest:
    return Manifest(
        variant=request.model.variant,
        input=request.input,
        outputs={"logits": request.forms.outputs, "masks": request.forms.outputs},
        queries=request.model.num_queries,
        classes=tuple(request.labels),
        thresholds=request.thresholds,
        precision=request.forms.precision,
        deform_conv=request.forms.deform_conv,
        checkpoint=FileHash(request.checkpoint.name, sha256(request.checkpoint)),
        built_by=BuiltBy(
            pem_edge=version("pem-edge"),
            torch=version("torch"),
            onnx=version("onnx"),
            onnxscript=version("onnxscript"),
            python=platform.python_version(),
            opset=str(tracing.OPSET),
            upsample=request.forms.upsample,
            gpu="none",
            calibration="none",
        ),
    )


def _prove(request: OnnxExport, proto: onnx.ModelProto, manifest: Manifest, say: Say) -> dict[str, Parity]:
    """Return parity on every installed backend that runs this form, by the backend's name. Raises ExportError."""
    with tempfile.TemporaryDirectory(prefix="pem-export-") as folder:
        path = Path(folder) / "model.onnx"
        proto, manifest = _runnable(request, proto, manifest)
        onnx.save(proto, path)
        artifact = Artifact(path, manifest)
        engines = [backends.create(name, artifact) for name in backends.able(artifact)]
        measured = parity.measure(
            request.model,
            engines,
            parity.sizes_for(request.input),
            parity.TOLERANCES[manifest.precision],
            progress=lambda done, total: say(f"parity: {done} of {total} images"),
        )
        for engine in engines:
            engine.close()
    parity.require(measured)
    return measured


def _write(output: Path, proto: onnx.ModelProto, manifest: Manifest) -> Manifest:
    onnx.helper.set_model_props(proto, {METADATA_KEY: manifest.to_json().decode()})
    proto.producer_name, proto.producer_version = "pem-edge", version("pem-edge")
    with writing(output) as model_file:
        onnx.save(proto, model_file)
        manifest = msgspec.structs.replace(manifest, model=FileHash(output.name, sha256(model_file)))
        with writing(path_of(output)) as manifest_file:
            manifest_file.write_bytes(manifest.to_json())
    return manifest
