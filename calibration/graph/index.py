"""An index of an ONNX graph: the producer, readers, constant value, shape and type of each tensor, by its name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import ShapeInferencePass

Shape = tuple[int | None, ...]
"""Sizes of a tensor; None for sizes that vary."""


class Graph:
    """An index of the tensors of a model by their names.

    A tensor's *key* is the name of the node that produces it. Keys identify the same tensor in graphs of one model that
    were exported in different precisions: casts are skipped, so a tensor and its cast to half precision have the same
    key.

    Attributes:
        model: A copy of the model, with inferred shapes. Tensors that are added to it later are not in the index.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = ir.from_proto(model)
        ShapeInferencePass(check_type=False, strict_mode=False)(self.model)
        self._values = ir.convenience.create_value_mapping(self.model.graph)

    @property
    def nodes(self) -> list[ir.Node]:
        """All nodes, in the graph's order."""
        return list(self.model.graph)

    @property
    def inputs(self) -> list[str]:
        """The names of the graph's inputs."""
        return names(self.model.graph.inputs)

    @property
    def outputs(self) -> list[str]:
        """The names of the graph's outputs."""
        return names(self.model.graph.outputs)

    @property
    def constants(self) -> list[ir.TensorProtocol]:
        """The constants that the model stores."""
        found = (value.const_value for value in self.model.graph.initializers.values())
        return [tensor for tensor in found if tensor is not None]

    def maker(self, tensor: str) -> ir.Node | None:
        """Return the node that produces ``tensor``, or None if it is an input, a constant or unknown."""
        value = self._values.get(tensor)
        return None if value is None else value.producer()

    def readers(self, tensor: str) -> list[ir.Node]:
        """Return the nodes that read ``tensor``, in the graph's order."""
        value = self._values.get(tensor)
        return [] if value is None else list(value.consumers())

    def source(self, tensor: str) -> str:
        """Return the tensor that ``tensor`` was cast from, through any number of casts, or else ``tensor`` itself."""
        maker = self.maker(tensor)
        return self.source(names(maker.inputs)[0]) if maker is not None and maker.op_type == "Cast" else tensor

    def key(self, tensor: str) -> str:
        """Return the key of ``tensor``. For outputs of a node after the first, ``:position`` is appended."""
        source = self.source(tensor)
        maker = self.maker(source)
        if maker is None:
            return source
        position = names(maker.outputs).index(source)
        return str(maker.name) if position == 0 else f"{maker.name}:{position}"

    def constant(self, tensor: str) -> NDArray[np.generic] | None:
        """Return the value of a constant, or of the cast of a constant; None if ``tensor`` is neither."""
        value = self._values.get(tensor)
        if value is None:
            return None
        if value.const_value is not None:
            return np.array(value.const_value.numpy())
        maker = value.producer()
        if maker is None or maker.op_type != "Cast":
            return None
        stored = self.constant(names(maker.inputs)[0])
        return None if stored is None or value.dtype is None else stored.astype(value.dtype.numpy())

    def shape(self, tensor: str) -> Shape | None:
        """Return the shape of ``tensor``, or None if it is unknown."""
        value = self._values.get(tensor)
        if value is None or value.shape is None:
            return None
        return tuple(size if isinstance(size, int) else None for size in value.shape)

    def dtype(self, tensor: str) -> ir.DataType | None:
        """Return the element type of ``tensor``, or None if it is unknown."""
        value = self._values.get(tensor)
        return None if value is None else value.dtype


def ending_at(model: ir.Model, tensors: Sequence[str]) -> onnx.ModelProto:
    """Extract the part of ``model`` that computes ``tensors``; they become its outputs."""
    part = ir.convenience.extract(model.graph, names(model.graph.inputs), list(tensors))
    return ir.to_proto(ir.Model(part, ir_version=model.ir_version))


def names(values: Sequence[ir.Value | None]) -> list[str]:
    """Return the names of tensors, with "" for each optional tensor that is absent."""
    return ["" if value is None else str(value.name) for value in values]
