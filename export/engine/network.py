"""Parses an ONNX file into TensorRT's network, with every type as the file states it."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import NamedTuple

from pem_edge.export.engine.failures import failure
from pem_edge.export.engine.tensorrt.interface import Builder, INetworkDefinition, OnnxParser, ParserError, TensorRt
from pem_edge.export.engine.tensorrt.targets import Target
from pem_edge.runtime.backends.tensorrt import log
from pem_edge.runtime.errors import ExportError

_DEFORM_CONV = b"\x22\x0aDeformConv"  # NodeProto.op_type, onnx.proto


class Parsed(NamedTuple):
    """A network, with what must outlive it."""

    builder: Builder
    network: INetworkDefinition
    parser: OnnxParser


def parse(trt: TensorRt, target: Target, onnx: Path) -> Parsed:
    """Return the network of ``onnx``, strongly typed. Raises ExportError if TensorRT does not take the graph."""
    if target.name == "trt-rtx":
        _refuse_plugins(onnx)
    logger = log.logger(trt)
    logger.errors.clear()
    builder = trt.Builder(logger)
    network = builder.create_network(_flags(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx)):
        reason = _reason(parser.get_error(0)) if parser.num_errors else log.pop_error(trt)
        raise failure(f"{target.title} {trt.__version__} cannot read {onnx}", reason)
    return Parsed(builder, network, parser)


def _flags(trt: TensorRt) -> int:
    """Return the flags of an explicit batch and strong types.

    Later releases have no other networks, and dropped the flags.
    """
    kinds = trt.NetworkDefinitionCreationFlag
    return sum(1 << int(getattr(kinds, name)) for name in ("EXPLICIT_BATCH", "STRONGLY_TYPED") if hasattr(kinds, name))


def _reason(error: ParserError) -> str:
    where = f"{error.node_operator()} at {error.node_name()}: " if error.node_operator() else ""
    return f"{where}{error.desc()}"


def _refuse_plugins(onnx: Path) -> None:
    """Raise ExportError if the graph needs a plugin.

    TensorRT-RTX has none, and its parser ends the process when it looks for one.
    """
    with onnx.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data.find(_DEFORM_CONV) >= 0:
            raise ExportError(
                f"{onnx} holds DeformConv, for which TensorRT-RTX has no plugin: export with --deform-conv standard"
            )
