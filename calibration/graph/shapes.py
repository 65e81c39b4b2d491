"""The shapes of a graph's tensors, of varying ones at one size."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from pem_edge.calibration.graph.index import Graph, Shape
from pem_edge.calibration.graph.running import ending_at, session


def shapes(graph: Graph, image: NDArray[np.uint8] | None = None) -> dict[str, Shape]:
    """The shape of each tensor of ``graph`` that is known.

    Sizes that vary are as they are for ``image``, uint8 (N, H, W, 3), which takes a run; without one they are None.
    """
    names = dict.fromkeys(name for node in graph.nodes for name in (*node.input, *node.output) if name)
    found = {name: graph.shape(name) for name in names}
    unknown = [name for name, shape in found.items() if shape is None or None in shape]
    if unknown and image is not None:
        found |= _measured(graph.model, unknown, image)
    return {name: shape for name, shape in found.items() if shape is not None}


def _measured(model: onnx.ModelProto, tensors: list[str], image: NDArray[np.uint8]) -> dict[str, Shape]:
    part = ending_at(model, tensors)
    outputs = [f"{name}/shape" for name in tensors]
    for name, output in zip(tensors, outputs, strict=True):
        part.graph.node.append(onnx.helper.make_node("Shape", [name], [output], output))
    del part.graph.output[:]
    part.graph.output.extend(onnx.ValueInfoProto(name=output) for output in outputs)
    values: list[NDArray[Any]] = session(part).run(outputs, {part.graph.input[0].name: image})
    return {name: tuple(value.tolist()) for name, value in zip(tensors, values, strict=True)}
