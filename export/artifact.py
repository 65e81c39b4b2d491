"""Exports a checkpoint to an ONNX artifact. Files are written only after the graph has passed the parity check."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import msgspec
import onnx

from pem_edge import __version__
from pem_edge.export import parity, workload
from pem_edge.export.graph import operator_functions, passes, tracing
from pem_edge.export.graph.operation_forms import Forms
from pem_edge.export.graph.rewrites import prepare
from pem_edge.export.graph.rewrites.vit import has_attention
from pem_edge.export.int8.calibration_images import CalibrationImages, open_images
from pem_edge.export.int8.quantize import Quantizer, for_one_image
from pem_edge.export.int8.settings import Calibration
from pem_edge.export.int8.speed import measure_gain
from pem_edge.pem import MaskClassifier
from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import operator_definitions, pairs
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import METADATA_KEY, InputSpec, Manifest, Task, Thresholds
from pem_edge.runtime.artifacts.provenance import BuiltBy, Parity
from pem_edge.runtime.artifacts.sections import Weights
from pem_edge.runtime.errors import ExportError
from pem_edge.runtime.files import temporary_folder
from pem_edge.runtime.progress import Say
from pem_edge.runtime.verification.differences import TOLERANCES


@dataclass(frozen=True)
class OnnxExport:
    """A request to export a model to ONNX.

    Attributes:
        model: The PyTorch model.
        checkpoint: What ``model`` was loaded from, for the manifest.
        output: The file to write.
        input: The image and batch sizes that the artifact takes.
        labels: The classes, in the order of the outputs.
        forms: The implementation of each operation, out of those that the model has, and the floating-point precision.
        thresholds: The default thresholds of segments.
        task: What the model was trained for, and what a result of it shows by default.
        compact: Whether to store weights in half precision where that loses nothing.
        calibration: The calibration settings for INT8, or None to export in floating point. With INT8, ``forms`` gives
            the precision of the operations that are not quantized.
    """

    model: MaskClassifier
    checkpoint: Weights
    output: Path
    input: InputSpec
    labels: Sequence[Label]
    forms: Forms
    thresholds: Thresholds
    task: Task = "panoptic"
    compact: bool = False
    calibration: Calibration | None = None


def export_onnx(request: OnnxExport, say: Say = lambda _text: None) -> Manifest:
    """Write the ONNX model and its manifest, provided that the graph computes what the PyTorch model computes.

    Args:
        request: The model, and how and where to export it.
        say: Takes remarks on progress.

    Returns:
        The manifest that was written.

    Raises:
        ExportError: If the number of labels is not that of the model's classes, the parity check fails, or the loss
            from INT8 is too large.
        InputError: If the calibration images cannot be read.
        CalibrationError: If the graph cannot be calibrated on the images.
        BackendError: If no backend runs the graph in INT8, to time it.
        OutputError: If a file cannot be written. After any error, the files are as they were.
    """
    _check_labels(request)
    images = _calibration_images(request, say)
    with temporary_folder() as folder:
        graph, manifest = folder / "graph.onnx", _describe(request)
        _trace_to(graph, request, say)  # and not kept in memory: the weights of a large model take half of it
        manifest = msgspec.structs.replace(manifest, parity=_check_parity(request, graph, manifest, say))
        proto = onnx.load(graph)
    if images is not None:
        proto, manifest = _quantize(request, images, proto, manifest, say)
    parameters = sum(parameter.numel() for parameter in request.model.parameters())
    manifest = msgspec.structs.replace(manifest, work=workload.count(proto, request.input, parameters))
    if request.compact:
        proto = passes.with_float16_constants(proto)
    say(f"writing {request.output}")
    return _write(request.output, proto, manifest)


def _calibration_images(request: OnnxExport, say: Say) -> CalibrationImages | None:
    if request.calibration is None:
        return None
    return open_images(request.calibration, for_one_image(request.input), request.labels, request.task, say)


def _trace_to(graph: Path, request: OnnxExport, say: Say) -> None:
    say("tracing the graph")
    proto = _trace(request.model, request.forms, request.input)
    say(f"graph of {len(proto.graph.node)} nodes")
    onnx.save(proto, graph)


def _trace(model: MaskClassifier, forms: Forms, spec: InputSpec) -> onnx.ModelProto:
    prepared = prepare(model, forms, (spec.height, spec.width))
    return tracing.to_onnx(prepared, tracing.example_for(spec), dynamic=tracing.dynamic_dims(spec))


def _quantize(
    request: OnnxExport, images: CalibrationImages, proto: onnx.ModelProto, manifest: Manifest, say: Say
) -> tuple[onnx.ModelProto, Manifest]:
    """Return ``proto`` in INT8, and its manifest with the loss and, for CPUs, the speed that were measured."""
    single, described = _make_runnable(request, proto, manifest)
    if request.forms.precision != "fp32" or (request.input.batch > 1 and not request.input.dynamic):
        say("tracing the graph in single precision")
        forms = replace(request.forms, precision="fp32", outputs="float32")
        # Some nodes have other names in graphs of dynamic size, and statistics are found by name.
        spec = request.input if request.input.dynamic else for_one_image(request.input)
        traced = replace(request, forms=forms, input=spec)
        single, _ = _make_runnable(traced, _trace(request.model, forms, spec), manifest)
    quantized, quantization = Quantizer(single, described, images, say).quantize(proto)
    int8 = msgspec.structs.replace(
        manifest,
        precision="int8",
        quantization=quantization,
        built_by=msgspec.structs.replace(
            manifest.built_by, remainder=manifest.precision, calibration=images.settings.source
        ),
    )
    if images.settings.placement == "cpu":
        int8 = measure_gain((proto, manifest), (quantized, int8))
    return quantized, int8


def _make_runnable(request: OnnxExport, proto: onnx.ModelProto, manifest: Manifest) -> tuple[onnx.ModelProto, Manifest]:
    """Return the graph without operators of TensorRT plugins, so that ONNX backends run it, and its manifest.

    The operator of our plugin is replaced by ONNX's DeformConv; a graph with NVIDIA's plugin is traced again with
    standard operators.
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
            f"the labels name {len(request.labels)} classes, {request.checkpoint.file} predicts "
            f"{request.model.num_classes}: choose the labels it was trained with, with --labels"
        )


def _describe(request: OnnxExport) -> Manifest:
    return Manifest(
        variant=request.model.variant,
        task=request.task,
        input=request.input,
        outputs={"logits": request.forms.outputs, "masks": request.forms.outputs},
        queries=request.model.num_queries,
        classes=tuple(request.labels),
        thresholds=request.thresholds,
        precision=request.forms.precision,
        deform_conv=request.forms.deform_conv,
        checkpoint=request.checkpoint,
        built_by=BuiltBy(
            pem_edge=__version__,
            torch=version("torch"),
            onnx=version("onnx"),
            onnxscript=version("onnxscript"),
            python=platform.python_version(),
            opset=str(tracing.OPSET),
            upsample=request.forms.upsample,
            attention=request.forms.attention if has_attention(request.model) else None,
            gpu="none",
            calibration="none",
        ),
    )


def _check_parity(request: OnnxExport, graph: Path, manifest: Manifest, say: Say) -> dict[str, Parity]:
    """Return the parity by backend, for each that is installed and runs the graph. Raises ExportError if one fails."""
    if manifest.deform_conv in ("plugin", "nvidia"):
        runnable, manifest = _make_runnable(request, onnx.load(graph), manifest)
        graph = graph.with_name("runnable.onnx")
        onnx.save(runnable, graph)
        del runnable
    artifact = Artifact(graph, manifest)
    loaders = {name: partial(backends.create, name, artifact) for name in backends.available_for(artifact)}
    if not loaders:
        refusal = backends.refusals.explain(backends.available(), replace(artifact, model=request.output))
        raise ExportError(f"no backend runs the graph, so nothing proves it, and nothing was written: {refusal}")
    sizes, tolerance = parity.sizes_for(request.input), TOLERANCES[manifest.precision]
    measured = parity.measure(request.model, loaders, sizes, tolerance, say)
    parity.require(measured)
    return measured


def _write(output: Path, proto: onnx.ModelProto, manifest: Manifest) -> Manifest:
    defined = operator_functions.definitions(proto)
    properties = {} if defined is None else {operator_definitions.KEY: defined}
    onnx.helper.set_model_props(proto, {METADATA_KEY: manifest.to_json().decode(), **properties})
    proto.producer_name, proto.producer_version = "pem-edge", __version__
    return pairs.write(output, lambda path: onnx.save(proto, path), manifest)
