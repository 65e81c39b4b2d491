"""Multiply-accumulates of a graph."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from calibration.collect import run
from calibration.graph import Graph, Shape

_CONVOLUTIONS = frozenset({"Conv", "DeformConv", "PemDeformConv"})
_PRODUCTS = frozenset({"MatMul", "Gemm"})
_KINDS = _CONVOLUTIONS | _PRODUCTS | {"ConvTranspose"}


def macs(graph: Graph, image: NDArray[np.uint8] | None = None) -> dict[str, int]:
    """The multiply-accumulates of each node that multiplies matrices, by its name.

    Sizes that vary are as they are for ``image``, uint8 (1, H, W, 3); without one, each counts as 1.
    """
    nodes = [node for node in graph.nodes if node.op_type in _KINDS]
    names = dict.fromkeys(name for node in nodes for name in (*node.input[:2], node.output[0]))
    shapes = {name: graph.shape(name) for name in names}
    unknown = [name for name, shape in shapes.items() if shape is None or None in shape]
    if unknown and image is not None:
        values: list[NDArray[Any]] = list(next(run(graph.model, unknown, [image])))
        shapes |= {name: value.shape for name, value in zip(unknown, values, strict=True)}
    return {node.name: _macs(shapes, node) for node in nodes}


def _macs(shapes: Mapping[str, Shape | None], node: NodeProto) -> int:
    first, second, output = (shapes[name] or () for name in (*node.input[:2], node.output[0]))
    if node.op_type in _CONVOLUTIONS:
        return _size(output) * _size(second[1:])
    if node.op_type in _PRODUCTS:
        return _size(output) * _size(first[-1:])
    return _size(first) * _size(second[1:])


def _size(shape: Shape) -> int:
    return math.prod(side or 1 for side in shape)
