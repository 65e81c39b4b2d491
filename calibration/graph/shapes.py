"""Finds the shapes of a graph's tensors, if need be by running it on an image."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from pem_edge.calibration.graph.index import Graph, Shape, ending_at, names
from pem_edge.calibration.graph.running import session


def shapes(graph: Graph, image: NDArray[np.uint8] | None = None) -> dict[str, Shape]:
    """Return the shapes of the tensors of ``graph`` by name.

    Args:
        graph: The graph.
        image: An input, uint8 (N, H, W, 3). If shape inference leaves shapes open, the graph is run on it to find them.

    Returns:
        The shape of each tensor. Without ``image``, sizes that vary are None, and tensors whose shape cannot be
        inferred are missing.
    """
    listed = dict.fromkeys(name for node in graph.nodes for name in (*names(node.inputs), *names(node.outputs)) if name)
    found = {name: graph.shape(name) for name in listed}
    if image is not None:
        found |= dict.fromkeys(graph.inputs, image.shape)
        unknown = [name for name, shape in found.items() if shape is None or None in shape]
        found |= _measure(graph, unknown, image) if unknown else {}
    return {name: shape for name, shape in found.items() if shape is not None}


def _measure(graph: Graph, tensors: list[str], image: NDArray[np.uint8]) -> dict[str, Shape]:
    """Run ``graph`` on ``image`` with a Shape node after each of ``tensors``."""
    part = ending_at(graph.model, tensors)
    outputs = [f"shape of {name}" for name in tensors]  # "X/shape" is what rewriting calls the shape that X is given
    for name, output in zip(tensors, outputs, strict=True):
        part.graph.node.append(onnx.helper.make_node("Shape", [name], [output], output))
    del part.graph.output[:]
    part.graph.output.extend(onnx.ValueInfoProto(name=output) for output in outputs)
    values: list[NDArray[np.int64]] = session(part).run(outputs, {part.graph.input[0].name: image})
    return {name: tuple(value.tolist()) for name, value in zip(tensors, values, strict=True)}
