"""The nodes of a model as a backend ran them: how long each took, and which tensors it read and wrote."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_ITEM_SIZES = {
    **dict.fromkeys(("bool", "int8", "uint8"), 1),
    **dict.fromkeys(("bfloat16", "float16", "int16", "uint16"), 2),
    **dict.fromkeys(("float32", "int32", "uint32"), 4),
    **dict.fromkeys(("float64", "int64", "uint64"), 8),
}


@dataclass(frozen=True)
class TensorType:
    """The type of a tensor: its element type by NumPy's name, such as "float32", and its shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The size in bytes; 0 if the element type is none of fixed size."""
        return self.elements * _ITEM_SIZES.get(self.dtype, 0)


@dataclass(frozen=True)
class ProfiledNode:
    """A node of the graph as the library rewrote it.

    Attributes:
        name: The name of the node.
        type: The type of its operation, in the library's own words.
        milliseconds: The median time per run.
        inputs: The types of the tensors that it reads, weights included; none if the library does not tell.
        outputs: The types of the tensors that it writes; none if the library does not tell.
        products: The matrix products that the library fused into a node of another type.
    """

    name: str
    type: str
    milliseconds: float
    inputs: tuple[TensorType, ...] = ()
    outputs: tuple[TensorType, ...] = ()
    products: tuple[ProfiledNode, ...] = ()


Nodes = Sequence[ProfiledNode]
