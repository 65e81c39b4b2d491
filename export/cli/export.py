"""The command ``pem-export``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pem_edge.export.cli import int8_options, summary, variant_list
from pem_edge.export.cli import options as asked
from pem_edge.export.graph.operation_forms import Forms, resolve
from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.manifest import Manifest, Thresholds, path_of
from pem_edge.runtime.backends.tensorrt import plugins
from pem_edge.runtime.cli import console
from pem_edge.runtime.errors import ExportError
from pem_edge.runtime.files import make_folder, refuse_existing

if TYPE_CHECKING:
    from pem_edge.export.engine.machine import Machine
    from pem_edge.pem import PEM


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return console.run(asked.parser(), _export, arguments)


def _export(options: argparse.Namespace) -> dict[str, Any]:
    if options.list:
        return _list(options)
    if options.build_plugin:
        return _build_plugin(options)
    _refuse_contradictions(options)
    machine = None if options.to == "onnx" else _machine(options)
    if options.weights.suffix.lower() == ".onnx":
        assert machine is not None
        return _engine_from_onnx(machine, options)
    return _from_checkpoint(machine, asked.with_defaults(options))


def _list(options: argparse.Namespace) -> dict[str, Any]:
    if not options.json:
        print(variant_list.lines())
    return variant_list.report()


def _build_plugin(options: argparse.Namespace) -> dict[str, Any]:
    from pem_edge.export.engine import plugin_build

    library = plugin_build.build(options.tensorrt_include, options.cuda_arch, _say)
    if not options.json:
        print(f"{library}, which --to trt uses from now on")
    return {"plugin": str(library)}


def _refuse_contradictions(options: argparse.Namespace) -> None:
    given, form = asked.given(options, asked.ENGINE), getattr(options, "deform_conv", "auto")
    if options.tensorrt_include or options.cuda_arch:
        raise ExportError("--tensorrt-include and --cuda-arch say how to build the plugin: add --build-plugin")
    if options.to == "onnx" and options.output is not None and options.output.suffix == ".engine":
        raise ExportError(f"-o {options.output} names an engine: add --to trt or --to trt-rtx, or end it in .onnx")
    if options.to == "onnx" and given:
        raise ExportError(f"{given[0]} is for engines: leave it out, or add --to trt or --to trt-rtx")
    if options.to == "trt-rtx" and form in ("native", "plugin"):
        raise ExportError(f"--deform-conv {form} cannot be, as trt-rtx has no plugins: choose standard, or --to trt")
    precision = int8_options.floating(asked.with_defaults(options))
    if getattr(options, "outputs", "float32") == "float16" and precision == "fp32":
        raise ExportError("--outputs float16 would round what single precision computed: add --precision fp16")
    if options.weights.suffix.lower() == ".engine":
        raise ExportError(f"{options.weights} is an engine already: give the .onnx beside it, to build it again")
    if options.weights.suffix.lower() == ".onnx":
        _refuse_graph_options(options)


def _refuse_graph_options(options: argparse.Namespace) -> None:
    if options.to == "onnx":
        raise ExportError(f"{options.weights} is an ONNX artifact already: choose --to trt or --to trt-rtx")
    if given := asked.given(options, asked.GRAPH):
        raise ExportError(
            f"{given[0]} is settled in {options.weights}: leave it out, or export the checkpoint again with it"
        )


def _machine(options: argparse.Namespace) -> Machine:
    from pem_edge.export.engine.machine import prepare

    return prepare(options.to, asked.settings(options))


def _engine_from_onnx(machine: Machine, options: argparse.Namespace) -> dict[str, Any]:
    from pem_edge.export.engine.artifact import read_source, refuse_overwriting

    source = read_source(options.weights)
    engine = _output(options, source.model.stem, ".engine", source.model.parent)
    if not options.overwrite:
        refuse_overwriting(source.model, engine)
    return _build_engine(machine, source.model, engine, options)


def _from_checkpoint(machine: Machine | None, options: argparse.Namespace) -> dict[str, Any]:
    if find_spec("torch") is None:
        raise ExportError(
            "checkpoints need PyTorch, which is not installed: pip install 'pem-edge[export]', or export to ONNX "
            "elsewhere and give that .onnx as --weights"
        )
    onnx, manifest = _export_onnx(machine, options)
    if machine is not None:
        return _build_engine(machine, onnx, onnx.with_suffix(".engine"), options)
    if not options.json:
        print(summary.of_model(onnx, manifest))
    return summary.report(onnx, manifest)


def _export_onnx(machine: Machine | None, options: argparse.Namespace) -> tuple[Path, Manifest]:
    """Trace the graph, prove it and write it; what must not be is refused before that takes its time."""
    spec, forms, int8 = asked.input_spec(options), _forms(machine, options), int8_options.read(options)
    suffix = ".onnx" if machine is None else ".engine"
    make_folder(_output(options, "", suffix, Path()).parent)
    from pem_edge.pem import checkpoints  # torch takes seconds to import; wrong options should not

    weights = checkpoints.locate(options.weights)
    _say(f"reading {weights}")
    model = checkpoints.load(weights)
    _say(f"{model.variant}, {model.num_classes} classes, {model.num_queries} queries")
    output = _output(options, _stem(model, options.precision), suffix, Path())
    if not options.overwrite:
        for path in (output, output.with_suffix(".onnx"), path_of(output)):
            refuse_existing(path)
    known = checkpoints.labels(weights)
    from pem_edge.export.artifact import Request, export_onnx
    from pem_edge.export.int8.quantize import Calibration

    request = Request(
        model=model,
        checkpoint=weights,
        output=output.with_suffix(".onnx"),
        input=spec,
        labels=labels.load(options.labels) if options.labels else known or labels.default(model.num_classes),
        forms=forms,
        compact=options.compact,
        calibration=None if int8 is None else Calibration(**int8),
        thresholds=Thresholds(score=options.score_threshold, overlap=options.overlap_threshold),
    )
    return request.output, export_onnx(request, _say)


def _forms(machine: Machine | None, options: argparse.Namespace) -> Forms:
    version = machine.trt.__version__ if machine is not None and options.to == "trt" else None
    built = version is not None and plugins.find(version) is not None
    if options.deform_conv == "plugin" and options.to == "trt" and not built:
        raise ExportError(f"the plugin is not built for TensorRT {version}: pem-export --build-plugin")
    return resolve(
        options.to,
        options.deform_conv,
        options.upsample,
        precision=int8_options.floating(options),
        outputs=options.outputs,
        plugin=built,
        int8=options.precision == "int8",
    )


def _stem(model: PEM, precision: str) -> str:
    return model.variant if precision == "fp32" else f"{model.variant}-{precision}"


def _output(options: argparse.Namespace, stem: str, suffix: str, folder: Path) -> Path:
    """The model file to write: as asked for, or of this name in the folder asked for or else ``folder``."""
    output: Path = options.output or folder
    return output.with_suffix(suffix) if output.suffix in (".onnx", ".engine") else output / f"{stem}{suffix}"


def _build_engine(machine: Machine, onnx: Path, engine: Path, options: argparse.Namespace) -> dict[str, Any]:
    from pem_edge.export.engine.artifact import export_engine, read_source, refuse_another_plugin

    source = read_source(onnx)
    if not options.overwrite:
        refuse_another_plugin(machine, source.manifest, engine)
    written = export_engine(machine, source, engine, asked.settings(options), _say)
    if source.manifest.quantization is not None and machine.gpu is not None:
        from pem_edge.export.int8.engine_timing import timed

        written = timed(machine, written, asked.settings(options), _say)
    if not options.json:
        print(summary.of_engine(written))
    return summary.report_engine(written)


def _say(text: str) -> None:
    console.say("pem-export", text)


if __name__ == "__main__":
    sys.exit(main())
