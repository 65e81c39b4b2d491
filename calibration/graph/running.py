"""Run an ONNX graph, or a part of it, in ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import onnxruntime as ort

from pem_edge.runtime.machine import usable_cpus

_FUSES_PAIRS = "QDQSelectorActionTransformer"
"""Off, so that Q/DQ pairs round as they are written; on, onnxruntime 1.31 refuses some graphs in half precision, for
which it has no QLinearConcat."""

_FATAL = 4  # less severe messages repeat, on standard error, what exceptions say


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
    """``model`` in onnxruntime on the CPU, Q/DQ pairs computed as they are written."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = usable_cpus()
    options.log_severity_level = _FATAL
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"], disabled_optimizers=[_FUSES_PAIRS]
    )
