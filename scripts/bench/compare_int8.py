#!/usr/bin/env python
"""Quality of a model in INT8 as this project and as onnxruntime's quantize_static make it, from and on the same images.

The measure is PQ, or mean IoU if the model is for semantic maps.
Everything runs in onnxruntime on the CPU, graphs for TensorRT included, whose arithmetic is so emulated. Writes a
Markdown table, with everything needed to repeat it, to standard output.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

sys.path.insert(0, str(Path(__file__).parents[2]))
from pem_edge import calibration
from pem_edge.calibration.graph.index import Graph
from pem_edge.calibration.graph.macs import macs
from pem_edge.calibration.graph.shapes import shapes
from pem_edge.calibration.placement.report import describe
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.sections import RangeMethod
from pem_edge.runtime.datasets.opening import open_dataset

DEFAULTS: dict[str, Any] = {}
TENSORRT: dict[str, Any] = {
    "activation_type": QuantType.QInt8,
    "weight_type": QuantType.QInt8,
    "extra_options": {
        "ActivationSymmetric": True,
        "WeightSymmetric": True,
        "QuantizeBias": False,
        "AddQDQPairToWeight": True,
        "DedicatedQDQPair": True,
    },
}
"""The settings of quantize_static with which TensorRT takes the graph."""

NEIGHBOURS = {
    "quantize_static, defaults": DEFAULTS,
    "quantize_static, weights per channel": {"per_channel": True},
    "quantize_static, convolutions alone, per channel": {"op_types_to_quantize": ["Conv"], "per_channel": True},
    "quantize_static, for TensorRT": TENSORRT,
    "quantize_static, for TensorRT, weights per channel": {**TENSORRT, "per_channel": True},
    "quantize_static, for TensorRT, convolutions alone, per channel": {
        **TENSORRT,
        "op_types_to_quantize": ["Conv"],
        "per_channel": True,
    },
}


class Row(NamedTuple):
    """A line of the table; shares, 0 to 1, are of multiply-accumulates."""

    name: str
    score: float
    of_convolutions: float
    of_all: float


def main() -> None:
    options = parse()
    source = artifact.read(options.model)
    model = unpacked(onnx.load(source.model))
    images = calibration.gather(options.calib, source.manifest.input, options.count)
    score = calibration.LabeledScore(source.manifest, open_dataset(options.dataset))
    title = (
        f"{options.model}, calibrated on {len(images)} images of {options.calib} ({options.method}), "
        f"{score.measure} on {options.dataset}"
    )
    report(title, score.measure, list(rows(model, images, score, options.method)))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default=artifact.DEMO, help="an .onnx in single precision; default: demo")
    parser.add_argument("--calib", default="toy:200:256x512:1", help="what to calibrate on")
    parser.add_argument("--count", type=int, default=200, help="how many images of it")
    parser.add_argument("--dataset", default="toy:200:256x512:7", help="what to measure PQ or mean IoU on")
    parser.add_argument("--method", default=calibration.METHOD, choices=calibration.METHODS)
    return parser.parse_args()


def unpacked(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return ``model`` with weights as they are used: quantize_static takes those stored in half for activations."""
    graph = Graph(model)
    for node in list(model.graph.node):
        if (constant := graph.constant(node.output[0])) is not None:
            model.graph.initializer.append(onnx.numpy_helper.from_array(constant, node.output[0]))
            model.graph.node.remove(node)
    return model


def rows(
    model: onnx.ModelProto, images: calibration.CalibrationSet, score: calibration.LabeledScore, method: RangeMethod
) -> Iterator[Row]:
    yield Row("single precision", score(model), 0, 0)
    statistics, graph = calibration.statistics(model, images), Graph(model)
    for placement in calibration.PLACEMENTS:
        quantized, made = calibration.quantize(model, statistics, placement, method)
        yield Row(f"ours, {placement}", score(quantized), made.share_of_convolutions, made.share_of_all)
    for name, settings in NEIGHBOURS.items():
        quantized = neighbor(model, images, settings)
        made = describe(Graph(quantized), macs(graph, shapes(graph)), name, "")
        yield Row(name, score(quantized), made.share_of_convolutions, made.share_of_all)


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """The images, one by one, as quantize_static wants them."""

    def __init__(self, images: calibration.CalibrationSet) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        image = next(self._images, None)
        return None if image is None else {"image": image}


def neighbor(model: onnx.ModelProto, images: calibration.CalibrationSet, settings: dict[str, Any]) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        onnx.save(model, before)
        quantize_static(before, after, Reader(images), **settings)
        return onnx.load(after)


def report(title: str, measure: str, found: list[Row]) -> None:
    print(
        f"{title}; onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}, {platform.machine()}, "
        f"Python {platform.python_version()}, {date.today()}\n"
    )
    print(f"| | {measure} | drop | INT8 share of convolutions' MACs | of all MACs |\n| --- | --- | --- | --- | --- |")
    for row in found:
        drop = found[0].score - row.score
        print(f"| {row.name} | {row.score:.2f} | {drop:.2f} | {row.of_convolutions:.1%} | {row.of_all:.1%} |")


if __name__ == "__main__":
    main()
