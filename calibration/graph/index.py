"""An index over an ONNX graph: who makes and who reads each tensor, its constants, its shapes."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

Shape = tuple[int | None, ...]

_SMALL = 64
"""Elements of the largest constant that a shape may be computed from."""


class Graph:
    """``model`` indexed; the index does not follow later changes of the model.

    A tensor's *key* names the node that makes it, which stays the same when the model is traced again in another
    precision: casts are looked through, so that a tensor and its cast to half precision have one key.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes = model.graph.node
        self.outputs = {value.name for value in model.graph.output}
        self._makers = {name: node for node in self.nodes for name in node.output}
        self._readers: defaultdict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                self._readers[name].append(node)
        self._initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self._values = _values(model)

    def maker(self, tensor: str) -> onnx.NodeProto | None:
        """The node that makes ``tensor``, None for inputs and constants."""
        return self._makers.get(tensor)

    def readers(self, tensor: str) -> list[onnx.NodeProto]:
        """The nodes that read ``tensor``, in the graph's order."""
        return self._readers.get(tensor, [])

    def source(self, tensor: str) -> str:
        """``tensor`` itself, or what it was cast from."""
        maker = self.maker(tensor)
        return self.source(maker.input[0]) if maker is not None and maker.op_type == "Cast" else tensor

    def key(self, tensor: str) -> str:
        """The name by which ``tensor`` is known in every trace of the module, see the class."""
        source = self.source(tensor)
        maker = self.maker(source)
        if maker is None:
            return source
        position = list(maker.output).index(source)
        return maker.name if position == 0 else f"{maker.name}:{position}"

    def constant(self, tensor: str) -> NDArray[Any] | None:
        """The value of a constant, also of one that is stored in another type and cast; None for what is computed."""
        if tensor in self._initializers:
            return np.array(onnx.numpy_helper.to_array(self._initializers[tensor]))
        maker = self.maker(tensor)
        if maker is None or maker.op_type != "Cast":
            return None
        stored = self.constant(maker.input[0])
        return None if stored is None else stored.astype(onnx.helper.tensor_dtype_to_np_dtype(self.type(tensor)))

    def shape(self, tensor: str) -> Shape | None:
        """The shape of ``tensor``, None in it for sizes that vary; None where it is unknown."""
        if tensor in self._initializers:
            return tuple(self._initializers[tensor].dims)
        value = self._values.get(tensor)
        if value is None or not value.type.tensor_type.HasField("shape"):
            return None
        return tuple(d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim)

    def type(self, tensor: str) -> int:
        """The element type of ``tensor``, a value of ``onnx.TensorProto.DataType``; 0 where it is unknown."""
        if tensor in self._initializers:
            return int(self._initializers[tensor].data_type)
        value = self._values.get(tensor)
        return 0 if value is None else int(value.type.tensor_type.elem_type)


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """The value of an attribute of ``node``."""
    found = next((each for each in node.attribute if each.name == name), None)
    return default if found is None else onnx.helper.get_attribute_value(found)


def _values(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    """What is known of each tensor that is computed."""
    inferred = onnx.shape_inference.infer_shapes(_without_weights(model), data_prop=True).graph
    return {value.name: value for value in (*inferred.value_info, *inferred.input, *inferred.output)}


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose large constants have become inputs, so that it takes next to no memory."""
    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    light.graph.name = model.graph.name
    for field in ("node", "input", "output", "value_info"):
        getattr(light.graph, field).extend(getattr(model.graph, field))
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) <= _SMALL:
            light.graph.initializer.append(tensor)
        else:
            light.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return light
