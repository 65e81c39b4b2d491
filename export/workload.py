"""How much a run of a graph computes and moves: what a manifest says of it, and what each variant takes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import onnx

from pem_edge.calibration.graph.index import Graph, Shape, names
from pem_edge.calibration.graph.macs import macs
from pem_edge.calibration.graph.shapes import shapes
from pem_edge.export.graph.passes import with_native_deform_conv
from pem_edge.export.graph.rewrites.deformable_attention import NVIDIA_OPERATOR
from pem_edge.runtime.artifacts.manifest import InputSpec, Work

_VIEWS = {"DequantizeLinear", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
"""Operators whose readers read what these read: the same bytes, or in INT8 the steps that are stored."""

_ARITHMETIC = {"Add", "BatchNormalization", "Div", "Max", "Min", "Mul", "Pow", "Sub"}
_LOGIC = {"And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or", "Where"}
_FUNCTIONS = {"Abs", "Clip", "Cos", "Erf", "Exp", "Gelu", "Log", "Neg", "Relu", "Sigmoid", "Sin", "Sqrt", "Tanh"}
_ELEMENTWISE = _ARITHMETIC | _LOGIC | _FUNCTIONS | {"Cast", "QuantizeLinear"}


def count(proto: onnx.ModelProto, spec: InputSpec, parameters: int) -> Work:
    """Return the work of one run of ``proto`` on images as ``spec`` says, of varying sizes at the usual one.

    The latter takes a run on the CPU. ``parameters`` are those of the checkpoint.
    """
    graph, known = Graph(proto), _shapes(proto, spec)
    by_operator: Counter[str] = Counter()
    costs = macs(graph, known)
    for node in graph.nodes:
        by_operator[node.op_type] += costs.get(str(node.name), 0)
    return Work(
        macs={operator: found for operator, found in by_operator.most_common() if found},
        parameters=parameters,
        weight_bytes=sum(
            value.const_value.nbytes for value in graph.model.graph.initializers.values() if value.const_value
        ),
        activation_bytes=_moved(graph, known),
        height=spec.height,
        width=spec.width,
        batch=spec.batch,
    )


def _shapes(proto: onnx.ModelProto, spec: InputSpec) -> dict[str, Shape]:
    if not spec.dynamic:
        return shapes(Graph(proto))
    image = np.zeros((spec.batch, spec.height, spec.width, 3), np.uint8)
    return shapes(Graph(_runnable(proto)), image)


def _runnable(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that ONNX Runtime can run, to tensors of the same shapes.

    NVIDIA's attention returns the shape of its values.
    """
    runnable = with_native_deform_conv(proto)
    for node in runnable.graph.node:
        if node.op_type == NVIDIA_OPERATOR:
            node.op_type, node.domain = "Identity", ""
            del node.input[1:]
    return runnable


def _moved(graph: Graph, known: Mapping[str, Shape]) -> int:
    """Return bytes that nodes read and write of each other, of the image and of the results.

    An elementwise operation is taken to be part of the node that makes its largest input, if nothing else reads that.
    """
    weights = {str(tensor.name) for tensor in graph.constants}
    sizes = {name: math.prod(side or 1 for side in shape) * _itemsize(graph, name) for name, shape in known.items()}
    nodes = [node for node in graph.nodes if node.op_type not in _VIEWS]
    reads = {
        str(node.name): [name for name in _origins(graph, names(node.inputs)) if name not in weights] for node in nodes
    }
    readers = Counter(name for read in reads.values() for name in read)
    readers.update(_origins(graph, graph.outputs))
    fused = set()
    for node in nodes:
        alone = [name for name in reads[str(node.name)] if readers[name] == 1 and graph.maker(name) is not None]
        if node.op_type in _ELEMENTWISE and alone:
            fused.add(max(alone, key=sizes.__getitem__))
    touched = (name for node in nodes for name in (*reads[str(node.name)], *filter(None, names(node.outputs))))
    return sum(sizes[name] for name in touched if name not in fused)


def _origins(graph: Graph, tensors: Iterable[str]) -> set[str]:
    """Return what ``tensors`` are views of."""
    return {_origin(graph, name) for name in tensors if name}


def _origin(graph: Graph, tensor: str) -> str:
    maker = graph.maker(tensor)
    return tensor if maker is None or maker.op_type not in _VIEWS else _origin(graph, names(maker.inputs)[0])


def _size(shape: Iterable[int | None]) -> int:
    return math.prod(side or 1 for side in shape)


def _itemsize(graph: Graph, tensor: str) -> int:
    dtype = graph.dtype(tensor)
    return 0 if dtype is None else int(dtype.itemsize)
