"""Counts the multiply-accumulates of one run of a graph, and the bytes that it reads and writes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

import numpy as np
import onnx

from pem_edge.calibration.graph.index import Graph, Shape, names
from pem_edge.calibration.graph.macs import macs
from pem_edge.calibration.graph.shapes import shapes
from pem_edge.export.graph.passes import with_runnable_operators
from pem_edge.runtime.artifacts.manifest import InputSpec
from pem_edge.runtime.artifacts.sections import Work

_NO_TRAFFIC = {"DequantizeLinear", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
"""Operators that move no bytes of their own. Nodes that take their result are counted as reading their input, which
for DequantizeLinear is the stored INT8 values."""

_ARITHMETIC = {"Add", "BatchNormalization", "Div", "Max", "Min", "Mul", "Pow", "Sub"}
_LOGIC = {"And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or", "Where"}
_FUNCTIONS = {"Abs", "Clip", "Cos", "Erf", "Exp", "Gelu", "Log", "Neg", "Relu", "Sigmoid", "Sin", "Sqrt", "Tanh"}
_ELEMENTWISE = _ARITHMETIC | _LOGIC | _FUNCTIONS | {"Cast", "QuantizeLinear"}
"""Operators that engines fuse into the node that computes their input."""


def count(proto: onnx.ModelProto, spec: InputSpec, parameters: int) -> Work:
    """Count the work of one run of a graph at its default size.

    Args:
        proto: The graph. One of dynamic size is run once on the CPU, to learn the shapes.
        spec: The input of the graph.
        parameters: The number of parameters of the checkpoint, to be stated beside the work.
    """
    graph, shapes_by_name = Graph(proto), _find_shapes(proto, spec)
    by_operator: Counter[str] = Counter()
    costs = macs(graph, shapes_by_name)
    for node in graph.nodes:
        by_operator[node.op_type] += costs.get(str(node.name), 0)
    return Work(
        macs={operator: total for operator, total in by_operator.most_common() if total},
        parameters=parameters,
        weight_bytes=sum(
            value.const_value.nbytes for value in graph.model.graph.initializers.values() if value.const_value
        ),
        activation_bytes=_count_activation_bytes(graph, shapes_by_name),
        height=spec.height,
        width=spec.width,
        batch=spec.batch,
    )


def _find_shapes(proto: onnx.ModelProto, spec: InputSpec) -> dict[str, Shape]:
    if not spec.dynamic:
        return shapes(Graph(proto))
    image = np.zeros((spec.batch, spec.height, spec.width, 3), np.uint8)
    return shapes(Graph(with_runnable_operators(proto)), image)


def _count_activation_bytes(graph: Graph, shapes_by_name: Mapping[str, Shape]) -> int:
    """Return the bytes of the image, of the results, and of the tensors between nodes, once per read and write."""
    sizes = {
        name: math.prod(side or 1 for side in shape) * _itemsize(graph, name) for name, shape in shapes_by_name.items()
    }
    weights = {str(tensor.name) for tensor in graph.constants}
    nodes = [node for node in graph.nodes if node.op_type not in _NO_TRAFFIC]
    reads = {str(node.name): _find_sources(graph, names(node.inputs)) - weights for node in nodes}
    fused = _find_fused(graph, reads, sizes)
    moved = (name for node in nodes for name in (*reads[str(node.name)], *filter(None, names(node.outputs))))
    return sum(sizes[name] for name in moved if name not in fused)


def _find_fused(graph: Graph, reads: Mapping[str, Collection[str]], sizes: Mapping[str, int]) -> set[str]:
    """Return the tensors that never reach memory because an elementwise node is fused into the node that makes them.

    An elementwise node counts as fused with the node that makes its largest input, if nothing else reads that input.
    """
    readers = Counter(name for read in reads.values() for name in read)
    readers.update(_find_sources(graph, graph.outputs))
    fused = set()
    for node in graph.nodes:
        if node.op_type in _ELEMENTWISE:
            read_once = [name for name in reads[str(node.name)] if readers[name] == 1 and graph.maker(name) is not None]
            if read_once:
                fused.add(max(read_once, key=sizes.__getitem__))
    return fused


def _find_sources(graph: Graph, tensors: Iterable[str]) -> set[str]:
    """Return the tensors that are read from memory where ``tensors`` are read."""
    return {_find_source(graph, name) for name in tensors if name}


def _find_source(graph: Graph, tensor: str) -> str:
    maker = graph.maker(tensor)
    if maker is None or maker.op_type not in _NO_TRAFFIC:
        return tensor
    return _find_source(graph, names(maker.inputs)[0])


def _itemsize(graph: Graph, tensor: str) -> int:
    dtype = graph.dtype(tensor)
    return 0 if dtype is None else int(dtype.itemsize)
