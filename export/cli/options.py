"""The requests that the options of ``pem-export`` make."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import fields

from pem_edge.calibration.images.calibration_set import COUNT
from pem_edge.export.cli.requests import EngineRequest, GraphRequest, ListRequest, PluginRequest, Request
from pem_edge.export.engine.settings import Settings
from pem_edge.export.graph.operation_forms import Precision
from pem_edge.export.int8.settings import Calibration
from pem_edge.runtime.artifacts.manifest import MULTIPLE_OF, InputSpec, Placement, Range, Thresholds
from pem_edge.runtime.errors import ExportError

INT8 = ("calib", "calib_images", "calib_method", "calib_cache", "max_pq_drop", "placement", "remainder")
_GRAPH = (
    *("size", "batch", "labels", "dynamic", "min_size", "max_size", "max_batch", "precision", "outputs"),
    *("deform_conv", "upsample", "compact", *INT8, "score_threshold", "overlap_threshold"),
)
"""Options that shape the graph: those of an ONNX artifact are counted."""

_SIZE, _LEAST_SIZE, _MOST_BATCH = (512, 1024), (128, 128), 4


def read(options: argparse.Namespace) -> Request:
    """Return the request that parsed options make. Raises ExportError if they contradict each other."""
    if options.list:
        return ListRequest(options.json)
    if options.build_plugin:
        return PluginRequest(options.tensorrt_include, options.cuda_arch, options.json)
    if _given(options, ("tensorrt_include", "cuda_arch")):
        raise ExportError("--tensorrt-include and --cuda-arch say how to build the plugin: add --build-plugin")
    if options.weights.suffix.lower() == ".onnx":
        return _engine_request(options)
    return _graph_request(options)


def _engine_request(options: argparse.Namespace) -> EngineRequest:
    request = EngineRequest(
        source=options.weights,
        to=options.to,
        output=options.output,
        overwrite=options.overwrite,
        settings=_settings(options),
        json=options.json,
    )
    if given := _given(options, _GRAPH):
        raise ExportError(
            f"{given[0]} is counted in {options.weights}: leave it out, or export the checkpoint again with it"
        )
    return request


def _graph_request(options: argparse.Namespace) -> GraphRequest:
    placement: Placement = options.placement or ("cpu" if options.to == "onnx" else "tensorrt")
    usual = Thresholds()
    return GraphRequest(
        weights=options.weights,
        to=options.to,
        output=options.output,
        overwrite=options.overwrite,
        input=_input_spec(options),
        labels=options.labels,
        precision=options.precision or "fp32",
        floating=_floating(options, placement),
        outputs=options.outputs or "float32",
        deform_conv=options.deform_conv or "auto",
        upsample=options.upsample or "auto",
        compact=bool(options.compact),
        calibration=_calibration(options, placement),
        thresholds=Thresholds(
            score=usual.score if options.score_threshold is None else options.score_threshold,
            overlap=usual.overlap if options.overlap_threshold is None else options.overlap_threshold,
        ),
        settings=_settings(options),
        json=options.json,
    )


def _given(options: argparse.Namespace, names: Iterable[str]) -> list[str]:
    """Return those of ``names`` that the user gave, as they are written."""
    return [f"--{name.replace('_', '-')}" for name in names if vars(options)[name] is not None]


def _settings(options: argparse.Namespace) -> Settings:
    given = {field.name: vars(options)[field.name] for field in fields(Settings)}
    return Settings(**{name: value for name, value in given.items() if value is not None})


def _floating(options: argparse.Namespace, placement: Placement) -> Precision:
    """Return the precision of what is not in INT8."""
    if options.precision == "int8":
        remainder: Precision | None = options.remainder
        return remainder or ("fp32" if placement == "cpu" else "fp16")
    return "fp16" if options.precision == "fp16" else "fp32"


def _calibration(options: argparse.Namespace, placement: Placement) -> Calibration | None:
    if options.precision != "int8":
        if given := _given(options, INT8):
            raise ExportError(f"{given[0]} is for INT8: add --precision int8, or leave it out")
        return None
    if options.calib is None:
        raise ExportError("--precision int8 needs pictures to calibrate on: add --calib DIR")
    return Calibration(
        source=options.calib,
        placement=placement,
        count=COUNT if options.calib_images is None else options.calib_images,
        method=options.calib_method or Calibration.method,
        most=options.max_pq_drop,
        cache=options.calib_cache,
    )


def _input_spec(options: argparse.Namespace) -> InputSpec:
    """Return the sizes asked for. Raises ExportError if a model cannot have them."""
    size: tuple[int, int] = options.size or _SIZE
    batch = 1 if options.batch is None else options.batch
    if batch < 1:
        raise ExportError(f"--batch is {batch}, expected 1 or more")
    _check_size("--size", size)
    height, width = size
    if not options.dynamic:
        return InputSpec(height=height, width=width, batch=batch)
    least, most = options.min_size or _LEAST_SIZE, options.max_size or (2 * height, 2 * width)
    _check_size("--min-size", least)
    _check_size("--max-size", most)
    return InputSpec(
        height=height,
        width=width,
        batch=batch,
        dynamic_batch=_range("batch", 1, batch, _MOST_BATCH if options.max_batch is None else options.max_batch),
        dynamic_height=_range("height", least[0], height, most[0]),
        dynamic_width=_range("width", least[1], width, most[1]),
    )


def _check_size(option: str, size: tuple[int, int]) -> None:
    if any(side < MULTIPLE_OF or side % MULTIPLE_OF for side in size):
        near = "x".join(str(max(MULTIPLE_OF, round(side / MULTIPLE_OF) * MULTIPLE_OF)) for side in size)
        raise ExportError(f"{option} is {size[0]}x{size[1]}, expected multiples of {MULTIPLE_OF}: try {near}")


def _range(what: str, least: int, usual: int, most: int) -> Range:
    if not least <= usual <= most or least == most:
        raise ExportError(f"the {what} may vary from {least} to {most}, usual {usual}: expected a range with it inside")
    return Range(least, usual, most)
