"""Parses an ONNX file into TensorRT's network, with every type as the file states it."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from pem_edge.export.engine.failures import failure
from pem_edge.export.engine.tensorrt.interface import Builder, INetworkDefinition, OnnxParser, ParserError, TensorRt
from pem_edge.export.engine.tensorrt.targets import Target
from pem_edge.runtime.artifacts import onnx_file
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.backends.tensorrt import log
from pem_edge.runtime.backends.tensorrt.plugins import operator
from pem_edge.runtime.errors import ExportError


class Parsed(NamedTuple):
    """A network, with what must outlive it."""

    builder: Builder
    network: INetworkDefinition
    parser: OnnxParser


def parse(trt: TensorRt, target: Target, artifact: Artifact) -> Parsed:
    """Return the network of an ONNX artifact, strongly typed.

    Raises:
        ArtifactError: If the file is not the one that its manifest vouches for.
        ExportError: If TensorRT does not take the graph.
    """
    model = artifact.read_model()
    _require_operators(target, artifact, onnx_file.operators(memoryview(model)))
    _require_plugin_version(artifact, memoryview(model))
    logger = log.logger(trt)
    logger.errors.clear()
    builder = trt.Builder(logger)
    network = builder.create_network(_flags(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        reason = _reason(parser.get_error(0)) if parser.num_errors else log.pop_error(trt)
        raise failure(f"{target.title} {trt.__version__} cannot read {artifact.model}", reason)
    return Parsed(builder, network, parser)


def _require_operators(target: Target, artifact: Artifact, operators: Collection[str]) -> None:
    """Raise ExportError if a node has an operator that the target is known to lack."""
    if "MultiHeadAttention" in operators:
        raise ExportError(
            f"{artifact.model} holds ONNX Runtime's MultiHeadAttention, which {target.title} does not have: export "
            "without --attention fused"
        )
    if target.name == "trt-rtx" and "DeformConv" in operators:
        # Its parser ends the process when it looks for a plugin.
        raise ExportError(
            f"{artifact.model} holds DeformConv, for which TensorRT-RTX has no plugin: export with --deform-conv gather"
        )


def _require_plugin_version(artifact: Artifact, model: memoryview) -> None:
    """Raise ExportError if a node is for another version of our plugin."""
    for version in onnx_file.attributes(model, operator.NAME, "plugin_version"):
        if version != operator.VERSION:
            raise ExportError(
                f"{artifact.model} is for version {version or 1} of our plugin, expected {operator.VERSION}: export "
                "the checkpoint again"
            )


def _flags(trt: TensorRt) -> int:
    """Return the flags of an explicit batch and strong types.

    Later releases have no other networks, and dropped the flags.
    """
    kinds = trt.NetworkDefinitionCreationFlag
    return sum(1 << int(getattr(kinds, name)) for name in ("EXPLICIT_BATCH", "STRONGLY_TYPED") if hasattr(kinds, name))


def _reason(error: ParserError) -> str:
    where = f"{error.node_operator()} at {error.node_name()}: " if error.node_operator() else ""
    return f"{where}{error.desc()}"
