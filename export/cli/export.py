"""Entry point of the ``pem-export`` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pem_edge.export.cli import options, parser, public_list, summary, variant_list
from pem_edge.export.cli.input_sizes import InputRequest
from pem_edge.export.cli.requests import (
    EngineRequest,
    GraphRequest,
    ListRequest,
    PluginRequest,
    Request,
    VerifyRequest,
    model_file,
)
from pem_edge.export.graph.operation_forms import Deformable, Forms, resolve
from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact, labels, pairs
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import InputSpec, Manifest, Task, Thresholds, manifest_path
from pem_edge.runtime.backends.tensorrt import plugins
from pem_edge.runtime.cli import console, output, signals
from pem_edge.runtime.errors import ExportError, OutputError
from pem_edge.runtime.files import refuse_existing
from pem_edge.runtime.files.output_folder import for_outputs
from pem_edge.runtime.installation import how_to_install
from pem_edge.runtime.verification import verify as verification
from pem_edge.runtime.versioned_json import JsonObject

if TYPE_CHECKING:
    from pem_edge.export.engine.machine import Machine
    from pem_edge.pem import MaskClassifier


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; ``arguments`` defaults to ``sys.argv[1:]``."""
    return console.run(parser.parser(), options.read, _run, arguments)


def _run(request: Request) -> JsonObject:
    match request:
        case ListRequest():
            return _list(request)
        case PluginRequest():
            return _build_plugin(request)
        case VerifyRequest():
            return _verify(request)
        case EngineRequest():
            return _engine_from_onnx(request)
        case GraphRequest():
            return _from_checkpoint(request)


def _list(request: ListRequest) -> JsonObject:
    if not request.json:
        output.show_text(f"{public_list.lines()}\n\n{variant_list.lines()}")
    return {"public_weights": public_list.report(), "variants": variant_list.report()}


def _build_plugin(request: PluginRequest) -> JsonObject:
    from pem_edge.export.engine import plugin_build

    library = plugin_build.build(request.tensorrt_include, request.cuda_arch, _say)
    if not request.json:
        output.show(f"Built {library}. --to trt will use it from now on.")
    return {"plugin": str(library)}


def _verify(request: VerifyRequest) -> JsonObject:
    found = artifact.read(request.model)
    outcome = verification.verify(found, request.backend, _say)
    verification.require(outcome, found)
    if not request.json:
        output.show_text(summary.of_verification(found.model, outcome))
    return summary.report_verification(found.model, outcome)


def _engine_from_onnx(request: EngineRequest) -> JsonObject:
    from pem_edge.export.engine.artifact import read_source, refuse_overwriting
    from pem_edge.export.engine.build import require_source
    from pem_edge.export.engine.machine import prepare

    source = read_source(request.source)
    require_source(request.to, source)
    machine = prepare(request.to, request.settings, source.manifest.deform_conv)
    engine = model_file(request.output, source.model.stem, ".engine", source.model.parent)
    with for_outputs(engine.parent), pairs.claim(engine):
        if not request.overwrite:
            refuse_overwriting(source.model, engine)
        return _build_engine(machine, source.model, engine, request)


def _from_checkpoint(request: GraphRequest) -> JsonObject:
    from pem_edge.export.engine.machine import prepare

    machine = None if request.to == "onnx" else prepare(request.to, request.settings, request.deform_conv)
    if find_spec("torch") is None:
        raise ExportError(
            f"checkpoints need PyTorch, which is not installed: {how_to_install('export')}, or export to ONNX "
            "elsewhere and give that .onnx as --weights"
        )
    with ExitStack() as stack:
        folder = stack.enter_context(for_outputs(request.output_folder))
        onnx, manifest = _export_onnx(machine, request, folder, stack)
        if machine is not None:
            return _build_engine(machine, onnx, onnx.with_suffix(".engine"), request)
    if not request.json:
        output.show_text(summary.of_model(onnx, manifest))
    return summary.report(onnx, manifest)


def _export_onnx(
    machine: Machine | None, request: GraphRequest, folder: Path, claims: ExitStack
) -> tuple[Path, Manifest]:
    """Trace the graph, verify it against the PyTorch model, and write it; its name is claimed until ``claims`` end.

    Options that cannot work are rejected first, before the slow part.
    """
    has_plugin, suffix = _find_plugin(machine, request), ".onnx" if machine is None else ".engine"
    if request.calibration is not None:
        from pem_edge.export.int8.calibration_images import require_source

        require_source(request.calibration.source)
    chosen = labels.load(request.labels) if request.labels else None
    with signals.held():  # an exception that passes through torch's C++ modules, half imported, aborts the process
        from pem_edge.pem import checkpoints  # takes seconds: wrong options are reported sooner

    _say(f"reading {request.weights}")
    given: dict[checkpoints.Question, object] = {"task": request.task, "labels": chosen}
    asks = [question for question, answer in given.items() if answer is None]
    checkpoint = checkpoints.open_checkpoint(
        request.weights, _say, revision=request.revision, part=request.part, asks=asks
    )
    model, known = checkpoint.model, checkpoint.description
    spec, task = request.input.spec(known.size, type(model)), request.task or known.task or "panoptic"
    _refuse_windowed(model, task, request.weights)
    console.tell_of_toys("pem-export", chosen or known.labels or ())
    _tell_limits(model, request.input, spec)
    _say(
        f"{model.variant}, {model.num_classes} classes, {model.num_queries} queries, {task} segmentation, "
        f"input {spec.height}x{spec.width}"
    )
    stem = model.variant if request.precision == "fp32" else f"{model.variant}-{request.precision}"
    output = model_file(request.output, stem, suffix, folder)
    claims.enter_context(pairs.claim(output))
    if not request.overwrite:
        _refuse_existing(output, request)
    with signals.held():
        from pem_edge.export.artifact import OnnxExport, export_onnx  # imports torch's exporter

    export = OnnxExport(
        model=model,
        checkpoint=checkpoint.weights(),
        output=output.with_suffix(".onnx"),
        input=spec,
        labels=chosen or known.labels or _default_labels(model.num_classes),
        task=task,
        forms=_forms(request, model, has_plugin),
        compact=request.compact,
        calibration=request.calibration,
        thresholds=_thresholds(request, task),
    )
    return export.output, export_onnx(export, _say)


def _refuse_existing(output: Path, request: GraphRequest) -> None:
    onnx = output.with_suffix(".onnx")
    if request.to != "onnx" and onnx.exists() and not output.exists():
        raise OutputError(
            f"{onnx} exists already: build the engine from it with --weights {onnx} --to {request.to}, or add "
            "--overwrite to export it again"
        )
    for path in (output, onnx, manifest_path(output)):
        refuse_existing(path)


def _refuse_windowed(model: MaskClassifier, task: Task, source: str) -> None:
    if task in model.windowed:
        raise ExportError(
            f"{source} is {model.variant} for {task} segmentation, which is trained on windows that slide over a "
            "picture, and is not supported: give one for panoptic or instance segmentation, or Mask2Former for it"
        )


def _tell_limits(model: MaskClassifier, asked: InputRequest, spec: InputSpec) -> None:
    if model.trained_size not in (None, (spec.height, spec.width)):
        trained = "x".join(map(str, model.trained_size or ()))
        _say(f"positions were learned at {trained}, and are resampled for {spec.height}x{spec.width}")
    if asked.dynamic and not model.sizes_vary:
        _say(f"the batch varies, height and width do not: the positions of {model.variant} are for one size")


def _default_labels(num_classes: int) -> tuple[Label, ...]:
    known = labels.BY_COUNT.get(num_classes)
    taken = f"those of {known}" if known else "numbered things"
    _say(
        f"nothing names its {num_classes} classes: taken for {taken}; --labels FILE names them and says which are stuff"
    )
    return labels.default(num_classes)


def _thresholds(request: GraphRequest, task: Task) -> Thresholds:
    usual = Thresholds.usual(task)
    return Thresholds(
        score=usual.score if request.score_threshold is None else request.score_threshold,
        overlap=usual.overlap if request.overlap_threshold is None else request.overlap_threshold,
    )


def _find_plugin(machine: Machine | None, request: GraphRequest) -> bool:
    """Return whether the engine can use our plugin. Raises ExportError if that is asked for and it is not built."""
    version = machine.trt.__version__ if machine is not None and request.to == "trt" else None
    found = version is not None and plugins.find(version) is not None
    if request.deform_conv == "plugin" and request.to == "trt" and not found:
        raise ExportError(f"the plugin is not built for TensorRT {version}: pem-export --build-plugin")
    return found


def _forms(request: GraphRequest, model: MaskClassifier, has_plugin: bool) -> Forms:
    from pem_edge.export.graph.rewrites.vit import has_attention  # imports torch, too
    from pem_edge.pem.layers.deform_conv import ModulatedDeformConv
    from pem_edge.pem.layers.deformable_attention import DeformableAttention

    if request.attention == "fused" and not has_attention(model):
        raise ExportError(f"--attention is for EoMT, and {request.weights} is {model.variant}: leave it out")
    kinds: dict[type, Deformable] = {ModulatedDeformConv: "convolution", DeformableAttention: "attention"}
    found = (kinds[type(module)] for module in model.modules() if type(module) in kinds)

    return resolve(
        request.to,
        request.deform_conv,
        request.upsample,
        attention_form=request.attention,
        precision=request.floating,
        outputs=request.outputs,
        plugin=has_plugin,
        deformable=next(found, None),
        int8=request.precision == "int8",
        native=backends.runs_here("native"),
        for_engine=request.calibration is not None and request.calibration.placement == "tensorrt",
    )


def _build_engine(machine: Machine, onnx: Path, engine: Path, request: EngineRequest | GraphRequest) -> JsonObject:
    from pem_edge.export.engine.artifact import export_engine, read_source

    source = read_source(onnx)
    written = export_engine(machine, source, engine, request.settings, _say)
    if source.manifest.quantization is not None and machine.gpu is not None:
        from pem_edge.export.int8.engine_timing import measure_gain

        written = measure_gain(machine, written, request.settings, _say)
    if not request.json:
        output.show_text(summary.of_engine(written))
    return summary.report_engine(written)


def _say(text: str) -> None:
    console.say("pem-export", text)


if __name__ == "__main__":
    sys.exit(main())
