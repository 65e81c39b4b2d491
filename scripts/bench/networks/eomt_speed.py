#!/usr/bin/env python
"""Time EoMT-S at 640x640 beside transformers' own, in one run: the network alone, and from array to panoptic map.

Weights are random, but for a class head that makes some queries certain, so that masks are merged. All take turns in
every round. Writes Markdown to standard output; transformers must be installed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[3]))
import pem_edge
from pem_edge.export.cli import export, variant_list
from pem_edge.pem.model import MEAN, STD
from pem_edge.runtime.machine import cpu
from reference.huggingface import eomt
from scripts.bench.networks.turns import Prepare, Run, medians
from scripts.reports.markdown import table

CLASSES, SIDE, ROUNDS = 133, 640, 9
PICTURE = (480, 640)
PRODUCT, PRODUCTS = (1605, 1536, 384), 50
THEIRS, THEIR_GRAPH = "transformers, torch", "transformers' graph, onnxruntime"
ALONE, WHOLE = "network", "array to map"
FORMS, BACKENDS = ("standard", "fused"), ("onnxruntime", "openvino")


def main() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        with torch.inference_mode():
            model = eomt.build("small", CLASSES)
            sharpen(model)
            eomt.write(model, folder)
            write_graphs(model, folder)
        ours: dict[str, Prepare] = {
            f"ours, {form} attention, {backend}": partial(prepare_ours, folder / f"{form}.onnx", backend)
            for form in FORMS
            for backend in BACKENDS
        }
        theirs: dict[str, Prepare] = {
            THEIRS: partial(prepare_theirs, folder),
            THEIR_GRAPH: partial(prepare_graph, folder / "old.onnx"),
        }
        found = medians({**theirs, **ours, "products": prepare_products}, ROUNDS)
        seconds = found.pop("products")[ALONE]
        print(page(found, PRODUCTS * math.prod(PRODUCT) / seconds))


def sharpen(model: nn.Module) -> None:
    """Make some queries certain of a class, and the others of none, as those of trained models are."""
    head = model.get_submodule("class_predictor")
    weight, bias = head.get_parameter("weight"), head.get_parameter("bias")
    direction = torch.randn(weight.shape[1], generator=torch.Generator().manual_seed(0))
    weight.zero_()[0] = 20 * direction / direction.norm()
    bias.zero_()[-1] = 22


def write_graphs(model: nn.Module, folder: Path) -> None:
    names: dict[str, Any] = {"input_names": ["image"], "output_names": ["logits", "masks"]}
    pixels = torch.from_numpy(noise(SIDE, SIDE))
    torch.onnx.export(Network(model), (pixels,), folder / "old.onnx", dynamo=False, opset_version=17, **names)
    for form in FORMS:
        arguments = ["--weights", str(folder), "--task", "panoptic", "--attention", form]
        with redirect_stdout(sys.stderr):
            code = export.main([*arguments, "-o", str(folder / f"{form}.onnx")])
        if code:
            sys.exit(code)


class Network(nn.Module):
    """Transformers' model behind the normalization, so that it takes what our graphs take."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(STD)[:, None, None])

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        outputs = self.model(pixel_values=(image.permute(0, 3, 1, 2).float() - self.mean) / self.std)
        return outputs.class_queries_logits, outputs.masks_queries_logits


def prepare_theirs(folder: Path) -> Mapping[str, Run]:
    from transformers import EomtForUniversalSegmentation
    from transformers.models.eomt.image_processing_pil_eomt import EomtImageProcessorPil

    torch.set_grad_enabled(False)
    processor: Any = EomtImageProcessorPil.from_pretrained(folder)
    model: Any = EomtForUniversalSegmentation.from_pretrained(folder)
    model.eval()
    network, pixels, picture = Network(model), torch.from_numpy(noise(SIDE, SIDE)), noise(*PICTURE)

    def to_map() -> object:
        inputs = processor(images=picture, return_tensors="pt", input_data_format="channels_last")
        outputs = model(pixel_values=inputs["pixel_values"])
        return processor.post_process_panoptic_segmentation(outputs, target_sizes=[PICTURE])

    return {ALONE: partial(network, pixels), WHOLE: to_map}


def prepare_graph(path: Path) -> Mapping[str, Run]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return {ALONE: partial(session.run, None, {"image": noise(SIDE, SIDE)})}


def prepare_ours(path: Path, backend: str) -> Mapping[str, Run]:
    segmenter = pem_edge.load(path, backend=backend)
    return {ALONE: partial(segmenter.backend, noise(SIDE, SIDE)), WHOLE: partial(segmenter, noise(*PICTURE)[0])}


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)


def prepare_products() -> Mapping[str, Run]:
    """Prepare `PRODUCTS` products of the size of those in the blocks."""
    a, b = torch.randn(PRODUCT[0], PRODUCT[1]), torch.randn(PRODUCT[1], PRODUCT[2])
    return {ALONE: lambda: [a @ b for _ in range(PRODUCTS)]}


def page(found: Mapping[str, Mapping[str, float]], rate: float) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("transformers", "torch", "onnxruntime", "openvino"))
    return "\n\n".join(
        [
            f"# EoMT-S at {SIDE}x{SIDE} beside transformers', {date.today():%-d %B %Y}",
            f"`scripts/bench/networks/eomt_speed.py`; {packages}; {cpu.name()}, {torch.get_num_threads()} threads. "
            f"Medians of {ROUNDS} rounds in which all take turns, each in a process of its own. Products of the size "
            f"of those in the blocks reach {rate / 1e9:.0f} GMAC/s.",
            "The network alone, bytes to logits:",
            table(
                ["", "ms", "times as fast as torch", "as the old exporter's graph", "share of the matrix rate"],
                rows_alone(found, rate),
            ),
            f"From a picture of {PICTURE[0]}x{PICTURE[1]}, an array, to its panoptic map:",
            table(["", "ms", "times as fast as torch"], rows_whole(found)),
        ]
    )


def rows_alone(found: Mapping[str, Mapping[str, float]], rate: float) -> Iterator[list[str]]:
    macs = variant_list.works()["eomt-s"].macs_total
    for name, times in found.items():
        beside = (f"{found[other][ALONE] / times[ALONE]:.2f}" for other in (THEIRS, THEIR_GRAPH))
        yield [name, f"{times[ALONE] * 1e3:.0f}", *beside, f"{macs / times[ALONE] / rate:.0%}"]


def rows_whole(found: Mapping[str, Mapping[str, float]]) -> Iterator[list[str]]:
    for name, times in found.items():
        if WHOLE in times:
            yield [name, f"{times[WHOLE] * 1e3:.0f}", f"{found[THEIRS][WHOLE] / times[WHOLE]:.2f}"]


if __name__ == "__main__":
    main()
