"""Artifacts whose limits are known: nearly all of their work is arithmetic, memory traffic, or the running of nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import InputSpec, Manifest, manifest_path
from pem_edge.runtime.artifacts.provenance import BuiltBy
from pem_edge.runtime.artifacts.sections import FileHash, Weights, Work
from pem_edge.runtime.files import sha256

SPEC = InputSpec(height=64, width=64)
QUERIES = 2
CLASSES = (Label(0, "thing", True, (255, 0, 0)),)

CONVOLUTIONS, CHANNELS, MAP = 12, 256, (16, 32)
"""Number of convolutions, their channels, and the height and width of their maps."""

COPIES, LARGE = 6, (64, 256, 256)
"""Number of times that a tensor is written and read, and its shape: 16 MiB."""

PRODUCTS, ROWS, WIDTH = 200, 4, 8
"""Number of matrix products, and the size of the matrices."""


@dataclass(frozen=True)
class Known:
    """The work of a graph, counted by hand.

    Attributes:
        bound: What bounds it: "compute", "memory" or "overhead".
        macs: The multiply-accumulates of all nodes.
        nbytes: The bytes that the nodes read and write that make up its work.
        shape: The shape of the tensor that its nodes pass on.
        nodes: Returns the nodes from the tensor "x" to "result".
    """

    bound: str
    macs: int
    nbytes: int
    shape: tuple[int, ...]
    nodes: Callable[[], Iterator[onnx.NodeProto]]


def _convolutions() -> Iterator[onnx.NodeProto]:
    """Yield 3x3 convolutions in a row."""
    names = ["x", *(f"x{index}" for index in range(1, CONVOLUTIONS)), "result"]
    for source, target in pairwise(names):
        yield helper.make_node("Conv", [source, "kernel"], [target], target, pads=[1, 1, 1, 1])


def _copies() -> Iterator[onnx.NodeProto]:
    """Yield pairs of nodes that write a large tensor and read it, each pair with a number from the one before."""
    highest = "seed"
    for index in range(COPIES):
        target = "result" if index == COPIES - 1 else f"highest{index}"
        yield helper.make_node("Add", ["x", highest], [f"copy{index}"], f"copy{index}")
        yield helper.make_node("ReduceMax", [f"copy{index}"], [target], target, keepdims=0)
        highest = target


def _products() -> Iterator[onnx.NodeProto]:
    """Yield products of small matrices, each with a softmax."""
    source = "x"
    for index in range(PRODUCTS):
        target = "result" if index == PRODUCTS - 1 else f"y{index}"
        yield helper.make_node("MatMul", [source, "square"], [f"product{index}"], f"product{index}")
        yield helper.make_node("Softmax", [f"product{index}"], [target], target)
        source = target


GRAPHS = {
    graph.bound: graph
    for graph in (
        Known(
            bound="compute",
            macs=CONVOLUTIONS * 9 * CHANNELS**2 * MAP[0] * MAP[1],
            nbytes=CONVOLUTIONS * 4 * (2 * CHANNELS * MAP[0] * MAP[1] + 9 * CHANNELS**2),
            shape=(1, CHANNELS, *MAP),
            nodes=_convolutions,
        ),
        Known(
            bound="memory",
            macs=0,
            nbytes=COPIES * 3 * 4 * LARGE[0] * LARGE[1] * LARGE[2],
            shape=(1, *LARGE),
            nodes=_copies,
        ),
        Known(
            bound="overhead",
            macs=PRODUCTS * ROWS * WIDTH**2,
            nbytes=PRODUCTS * 4 * (4 * ROWS * WIDTH + WIDTH**2),
            shape=(1, ROWS, WIDTH),
            nodes=_products,
        ),
    )
}
"""The graphs by what bounds them."""


def write(folder: Path, bound: str) -> Path:
    """Write the artifact whose graph is bound so, and return its path."""
    graph, path = GRAPHS[bound], folder / f"{bound}.onnx"
    onnx.save(_model(graph), path)
    work = Work(
        macs={"Conv": graph.macs},
        parameters=0,
        weight_bytes=0,
        activation_bytes=graph.nbytes,
        height=SPEC.height,
        width=SPEC.width,
        batch=SPEC.batch,
    )
    manifest = Manifest(
        variant=bound,
        input=SPEC,
        outputs={"logits": "float32", "masks": "float32"},
        queries=QUERIES,
        classes=CLASSES,
        deform_conv="standard",
        checkpoint=Weights("none.pth", "0" * 64),
        built_by=BuiltBy(pem_edge="reference"),
        work=work,
    )
    manifest = msgspec.structs.replace(manifest, model=FileHash(path.name, sha256(path)))
    manifest_path(path).write_bytes(manifest.to_json())
    return path


def _model(graph: Known) -> onnx.ModelProto:
    """Return a graph from an image to logits and masks, all of which depend on what its nodes compute."""
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["floats"], ["brightest"], keepdims=0),
        helper.make_node("Mul", ["brightest", "tiny"], ["seed"]),
        helper.make_node("Expand", ["seed", "shape"], ["x"]),
        *graph.nodes(),
        helper.make_node("ReduceMax", ["result"], ["number"], keepdims=0),
        helper.make_node("Expand", ["number", "logits_shape"], ["logits"]),
        helper.make_node("Expand", ["number", "mask_shape"], ["masks"]),
    ]
    constants = _constants(graph)
    used = {name for node in nodes for name in node.input}
    model = helper.make_graph(
        nodes,
        graph.bound,
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, SPEC.height, SPEC.width, 3])],
        [
            helper.make_tensor_value_info(output, TensorProto.FLOAT, constants[shape].tolist())
            for output, shape in (("logits", "logits_shape"), ("masks", "mask_shape"))
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items() if name in used],
    )
    return helper.make_model(model, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _constants(graph: Known) -> dict[str, NDArray[np.generic]]:
    """Return the constants of all graphs by name."""
    random = np.random.default_rng(0)
    return {
        "tiny": np.array(1e-6, np.float32),
        "shape": np.array(graph.shape),
        "mask_shape": np.array((1, QUERIES, SPEC.height // 4, SPEC.width // 4)),
        "logits_shape": np.array((1, QUERIES, len(CLASSES) + 1)),
        "kernel": random.normal(0, (9 * CHANNELS) ** -0.5, (CHANNELS, CHANNELS, 3, 3)).astype(np.float32),
        "square": random.normal(0, 1, (WIDTH, WIDTH)).astype(np.float32),
    }
