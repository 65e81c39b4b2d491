"""Run an ONNX graph, or a part of it, in ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import onnxruntime as ort

from pem_edge.runtime.backends import Settings
from pem_edge.runtime.backends.onnxruntime import FUSES_QDQ_PAIRS, open_session


def ending_at(model: onnx.ModelProto, tensors: Sequence[str]) -> onnx.ModelProto:
    """The part of ``model`` that computes ``tensors``, its outputs."""
    needed, nodes = set(tensors), []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    part = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    part.graph.name = model.graph.name
    part.graph.node.extend(reversed(nodes))
    part.graph.input.extend(model.graph.input)
    part.graph.initializer.extend(each for each in model.graph.initializer if each.name in needed)
    part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors)
    return part


def session(model: onnx.ModelProto) -> ort.InferenceSession:
    """Open ``model`` in ONNX Runtime on the CPU, Q/DQ pairs computed as they are written."""
    return open_session(model.SerializeToString(), Settings(), [FUSES_QDQ_PAIRS], on_cpu=True)
