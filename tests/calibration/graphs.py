"""Small graphs by hand, named as traced ones are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

SIZE = (16, 24)
KINDS: dict[int, type[np.floating]] = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16}


class GraphBuilder:
    """Adds nodes one after another to a graph that takes ``image``, uint8 (1, H, W, 3), as ours do."""

    def __init__(self, kind: int = TensorProto.FLOAT, seed: int = 0) -> None:
        self.kind, self._random = kind, np.random.default_rng(seed)
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []
        cast = self.node("Cast", ["image"], "normalize/Cast", to=kind)
        pixels = self.node("Transpose", [cast], "normalize/Transpose", perm=[0, 3, 1, 2])
        self.image = self.node("Div", [pixels, self.constant("scale", np.array(64.0))], "normalize/Div")

    def node(self, operator: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add a node; return its output."""
        output = name.replace("/", "_")
        self._nodes.append(helper.make_node(operator, inputs, [output], name, **attributes))
        return output

    def constant(self, name: str, values: NDArray[Any]) -> str:
        self._constants.append(numpy_helper.from_array(values.astype(KINDS[self.kind]), name))
        return name

    def whole(self, name: str, *values: int) -> str:
        """Add a constant of whole numbers, such as a shape; return its name."""
        self._constants.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def conv(self, source: str, module: str, channels: tuple[int, int], kernel: int = 3, **attributes: Any) -> str:
        """Return a convolution of random weights that keeps the size unless strided; ``channels`` in and out."""
        shape = (channels[1], channels[0] // attributes.get("group", 1), kernel, kernel)
        weights = self._random.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        names = (
            self.constant(f"{module}.weight", weights),
            self.constant(f"{module}.bias", self._random.normal(size=channels[1]) / 4),
        )
        return self.node("Conv", [source, *names], f"{module}/Conv", pads=[kernel // 2] * 4, **attributes)

    def relu(self, source: str, module: str) -> str:
        return self.node("Relu", [source], f"{module}/Relu")

    def model(self, *outputs: str) -> onnx.ModelProto:
        """Return the graph; its outputs are cast to single precision and called logits and masks."""
        results = ["logits", "masks"][: len(outputs)]
        for output, result in zip(outputs, results, strict=True):
            self._nodes.append(helper.make_node("Cast", [output], [result], f"model/{result}", to=TensorProto.FLOAT))
        graph = helper.make_graph(
            self._nodes,
            "graph",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, *SIZE, 3])],
            [helper.make_tensor_value_info(result, TensorProto.FLOAT, list("NCHW")) for result in results],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
        onnx.checker.check_model(model)
        return model


def chain(kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """Two convolutions, the first with ReLU."""
    build = GraphBuilder(kind)
    first = build.relu(build.conv(build.image, "backbone.features.0.conv", (3, 8)), "backbone.features.0")
    return build.model(build.conv(first, "backbone.features.1.conv", (8, 4)))


def residual(kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """Return a block of ResNet, followed by a convolution."""
    build = GraphBuilder(kind)
    stem = build.relu(build.conv(build.image, "backbone.stem.conv", (3, 8)), "backbone.stem")
    inner = build.relu(build.conv(stem, "backbone.res2.0.conv1.conv", (8, 8)), "backbone.res2.0.conv1")
    branch = build.conv(inner, "backbone.res2.0.conv3.conv", (8, 8))
    total = build.node("Add", [branch, stem], "backbone.res2.0/Add")
    return build.model(build.conv(build.relu(total, "backbone.res2.0"), "backbone.res3.0.conv1.conv", (8, 4)))


def concatenation(kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """Return a block of STDC: a convolution, another after it, the pooled first and the second side by side."""
    build = GraphBuilder(kind)
    first = build.relu(
        build.conv(build.image, "backbone.features.2.convs.0.conv", (3, 8)), "backbone.features.2.convs.0"
    )
    small = build.conv(first, "backbone.features.2.downsample.conv", (8, 8), group=8, strides=[2, 2])
    second = build.relu(build.conv(small, "backbone.features.2.convs.1.conv", (8, 4)), "backbone.features.2.convs.1")
    pool = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    pooled = build.node("AveragePool", [first], "backbone.features.2.skip/AveragePool", **pool)
    joined = build.node("Concat", [pooled, second], "backbone.features.2/Concat", axis=1)
    return build.model(build.conv(joined, "backbone.features.3.convs.0.conv", (12, 4), kernel=1))


GRAPHS = {"chain": chain, "residual": residual, "concatenation": concatenation}


class Noise(Sequence[NDArray[np.uint8]]):
    """``count`` images of noise, uint8 (1, H, W, 3)."""

    digest, size = "noise", SIZE

    def __init__(self, count: int = 4, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self._images = [random.integers(0, 256, (1, *SIZE, 3), dtype=np.uint8) for _ in range(count)]

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: Any) -> Any:
        return self._images[index]
