"""Turns the options of ``pem-export`` into its requests."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

from pem_edge.calibration.images.calibration_set import COUNT
from pem_edge.export.cli.input_sizes import DEFAULT_MAX_BATCH, InputRequest
from pem_edge.export.cli.requests import (
    EngineRequest,
    GraphRequest,
    ListRequest,
    PluginRequest,
    Request,
    VerifyRequest,
    is_onnx,
)
from pem_edge.export.engine.settings import Settings
from pem_edge.export.graph.operation_forms import Target
from pem_edge.export.int8.settings import Calibration
from pem_edge.runtime.artifacts.sections import Placement
from pem_edge.runtime.errors import ExportError

INT8 = ("calib", "calib_images", "calib_method", "calib_cache", "max_pq_drop", "placement", "remainder")
_GRAPH = (
    *("revision", "part", "task", "size", "batch", "labels", "dynamic", "min_size", "max_size", "max_batch"),
    *(
        "precision",
        "outputs",
        "deform_conv",
        "upsample",
        "attention",
        "compact",
        *INT8,
        "score_threshold",
        "overlap_threshold",
    ),
)
"""The options that shape the graph. An ONNX artifact has been given its values for them."""

_EXPORT = ("to", "output", "overwrite", *_GRAPH, *(field.name for field in fields(Settings)))
_PLUGIN = ("tensorrt_include", "cuda_arch")


def read(options: argparse.Namespace) -> Request:
    """Return the request that parsed options make. Raises ExportError if they contradict each other."""
    if options.list:
        _refuse(options, (*_EXPORT, *_PLUGIN), "has no meaning for --list: leave it out")
        return ListRequest(options.json)
    if options.verify is not None:
        _refuse(options, (*_EXPORT, *_PLUGIN), "has no meaning for --verify: leave it out")
        return VerifyRequest(options.verify, options.backend, options.json)
    _refuse(options, ("backend",), "says where to verify a model: add --verify MODEL, or leave it out")
    if options.build_plugin:
        _refuse(options, _EXPORT, "has no meaning for --build-plugin: leave it out")
        return PluginRequest(options.tensorrt_include, options.cuda_arch, options.json)
    _refuse(options, _PLUGIN, "says how to build the plugin: add --build-plugin, or leave it out")
    return _engine_request(options) if is_onnx(Path(options.weights)) else _graph_request(options)


def _engine_request(options: argparse.Namespace) -> EngineRequest:
    fixed = f"is fixed in {options.weights}: leave it out, or export the checkpoint again with it"
    request = EngineRequest(
        source=Path(options.weights),
        to=options.to or "onnx",
        output=options.output,
        overwrite=bool(options.overwrite),
        settings=_settings(options),
        json=options.json,
    )
    _refuse(options, _GRAPH, fixed)
    return request


def _graph_request(options: argparse.Namespace) -> GraphRequest:
    to: Target = options.to or "onnx"
    return GraphRequest(
        weights=options.weights,
        revision=options.revision,
        part=options.part,
        to=to,
        output=options.output,
        overwrite=bool(options.overwrite),
        input=_input_request(options),
        labels=options.labels,
        task=options.task,
        precision=options.precision or "fp32",
        remainder=options.remainder,
        outputs=options.outputs or "float32",
        deform_conv=options.deform_conv or "auto",
        upsample=options.upsample or "auto",
        attention=options.attention or "standard",
        compact=bool(options.compact),
        calibration=_calibration(options, "cpu" if to == "onnx" else "tensorrt"),
        score_threshold=options.score_threshold,
        overlap_threshold=options.overlap_threshold,
        settings=_settings(options),
        json=options.json,
    )


def _refuse(options: argparse.Namespace, names: Iterable[str], reason: str) -> None:
    """Raise ExportError if the user gave one of ``names``; ``reason`` is what the message says of it."""
    for name in names:
        if vars(options)[name] is not None:
            raise ExportError(f"--{name.replace('_', '-')} {reason}")


def _settings(options: argparse.Namespace) -> Settings:
    given = {field.name: vars(options)[field.name] for field in fields(Settings)}
    return Settings(**{name: value for name, value in given.items() if value is not None})


def _calibration(options: argparse.Namespace, default: Placement) -> Calibration | None:
    if options.precision != "int8":
        _refuse(options, INT8, "is for INT8: add --precision int8, or leave it out")
        return None
    if options.calib is None:
        return None  # the request says what is missing
    return Calibration(
        source=options.calib,
        placement=options.placement or default,
        count=COUNT if options.calib_images is None else options.calib_images,
        method=options.calib_method or Calibration.method,
        max_drop=options.max_pq_drop,
        cache=options.calib_cache,
    )


def _input_request(options: argparse.Namespace) -> InputRequest:
    if not options.dynamic:
        _refuse(options, ("min_size", "max_size", "max_batch"), "is for sizes that vary: add --dynamic")
    return InputRequest(
        size=options.size,
        batch=1 if options.batch is None else options.batch,
        dynamic=bool(options.dynamic),
        min_size=options.min_size,
        max_size=options.max_size,
        max_batch=DEFAULT_MAX_BATCH if options.max_batch is None else options.max_batch,
    )
