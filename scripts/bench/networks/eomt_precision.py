#!/usr/bin/env python
"""Compare EoMT-S in half and in INT8 with single precision, on generated streets and with random weights.

Weights are as random as in tests, or have what trained Vision Transformers have: a few channels that are many times as
large as the others. Writes Markdown to standard output. This shows whether a precision computes the same, not what PQ
it costs: random weights know no street.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from unittest.mock import patch

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[3]))
from pem_edge import calibration, pem
from pem_edge.calibration.activations.collect import collect
from pem_edge.calibration.placement import tensors
from pem_edge.export.graph import rewrites, tracing
from pem_edge.export.graph.operation_forms import Forms
from pem_edge.pem.layers.vit_block import ViTBlock
from pem_edge.runtime.artifacts.manifest import InputSpec
from pem_edge.runtime.datasets.toy_streets import ToyStreets
from reference.weights import randomized
from scripts.reports.markdown import table

SIDE, CALIBRATION, TRIED = 320, 16, 12
LARGE, FACTOR = [5, 50, 200], 30
Images = Sequence[NDArray[np.uint8]]


def main() -> None:
    streets = ToyStreets(CALIBRATION + TRIED, SIDE, SIDE, seed=1)
    images = [streets[index].image[None] for index in range(len(streets))]
    rows = [row for outliers in (False, True) for row in compare(outliers, images)]
    print(f"# EoMT-S in half and in INT8, {date.today():%-d %B %Y}\n")
    print(
        f"`scripts/bench/networks/eomt_precision.py`: random weights at {SIDE}x{SIDE}, calibrated on {CALIBRATION} "
        f"generated streets, compared on {TRIED} others. The share of pixels whose strongest mask, of 200, is the same "
        "as in single precision, and the mean difference of logits in parts of their standard deviation.\n"
    )
    titles = ["channels", "norms", "precision", "same mask", "class logits", "mask logits"]
    print(table(titles, rows))


def compare(outliers: bool, images: Images) -> Iterator[list[str]]:
    channels = f"{len(LARGE)} are {FACTOR} times as large" if outliers else "alike"
    model = randomized(pem.build("eomt-s", 19)).eval().requires_grad_(False)
    if outliers:
        enlarge(model)
    for balanced in (True, False):
        single = traced(model, Forms(), balanced)
        expected = run(single, images[CALIBRATION:])
        for name, proto in others(model, single, balanced, images):
            print(f"comparing {name}, channels {channels}", file=sys.stderr)
            found = run(proto, images[CALIBRATION:])
            yield [channels, "balanced" if balanced else "as they are", name, *differences(found, expected)]


def enlarge(model: torch.nn.Module) -> None:
    """Enlarge channels of every norm, and make the layers after them take them so: the model computes the same."""
    for block in model.modules():
        if isinstance(block, ViTBlock):
            for norm, linear in ((block.norm1, block.qkv), (block.norm2, block.expand)):
                norm.weight[LARGE] *= FACTOR
                norm.bias[LARGE] *= FACTOR
                linear.weight[:, LARGE] /= FACTOR


def others(
    model: pem.MaskClassifier, single: onnx.ModelProto, balanced: bool, images: Images
) -> Iterator[tuple[str, onnx.ModelProto]]:
    yield "fp16", traced(model, Forms(precision="fp16"), balanced)
    collected = collect(single, tensors(single), images[:CALIBRATION])
    statistics = calibration.Statistics(collected, "random", "streets", CALIBRATION, (SIDE, SIDE))
    for placement in calibration.PLACEMENTS:
        yield f"INT8, {placement}", calibration.quantize(single, statistics, placement)[0]


def traced(model: pem.MaskClassifier, forms: Forms, balanced: bool) -> onnx.ModelProto:
    spec = InputSpec(height=SIDE, width=SIDE)
    balance = rewrites.balance_norms if balanced else lambda _model: None
    with patch.object(rewrites, "balance_norms", balance):
        prepared = rewrites.prepare(model, forms, (SIDE, SIDE))
    return tracing.to_onnx(prepared, tracing.example_for(spec))


def run(proto: onnx.ModelProto, images: Images) -> list[tuple[NDArray[np.floating], NDArray[np.floating]]]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # as the graph says
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [tuple(session.run(None, {"image": image})) for image in images]


def differences(
    found: Sequence[tuple[NDArray[np.floating], ...]], expected: Sequence[tuple[NDArray[np.floating], ...]]
) -> list[str]:
    pairs = list(zip(found, expected, strict=True))
    same = np.mean([(a[1].argmax(1) == b[1].argmax(1)).mean() for a, b in pairs])
    off = (np.mean([np.abs(a[i] - b[i]).mean() / b[i].std() for a, b in pairs]) for i in range(2))
    return [f"{same:.1%}", *(f"{each:.4f}" for each in off)]


if __name__ == "__main__":
    main()
