#!/usr/bin/env python
"""Time EoMT-S at 640x640 beside transformers' own, in one run: the network alone, and from array to panoptic map.

Weights are random, but for a class head that makes some queries certain, so that masks are merged. All take turns in
every round. Writes Markdown to standard output; transformers must be installed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
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
from pem_edge.runtime.benchmark.machine import cpu
from reference.huggingface import eomt
from scripts.bench.networks.turns import Run, medians, seconds
from scripts.reports.markdown import table

CLASSES, SIDE, ROUNDS = 133, 640, 9
PICTURE = (480, 640)
THEIRS, THEIR_GRAPH = "transformers, torch", "transformers' graph, onnxruntime"
WHOLE = ", from array to map"


def main() -> None:
    with TemporaryDirectory() as name, torch.inference_mode():
        folder = Path(name)
        theirs = eomt.build("small", CLASSES)
        sharpen(theirs)
        eomt.write(theirs, folder / "weights")
        networks, whole = dict[str, Run](), dict[str, Run]()
        add_theirs(theirs, folder, networks, whole)
        add_ours(folder, networks, whole)
        rate = matrix_rate()
        together = medians({**networks, **{f"{name}{WHOLE}": run for name, run in whole.items()}}, ROUNDS)
        print(
            page(
                {name: together[name] for name in networks}, {name: together[f"{name}{WHOLE}"] for name in whole}, rate
            )
        )


def sharpen(model: nn.Module) -> None:
    """Make some queries certain of a class, and the others of none, as those of trained models are."""
    head = model.get_submodule("class_predictor")
    weight, bias = head.get_parameter("weight"), head.get_parameter("bias")
    direction = torch.randn(weight.shape[1], generator=torch.Generator().manual_seed(0))
    weight.zero_()[0] = 20 * direction / direction.norm()
    bias.zero_()[-1] = 22


def add_theirs(model: nn.Module, folder: Path, networks: dict[str, Run], whole: dict[str, Run]) -> None:
    from transformers.models.eomt.image_processing_pil_eomt import EomtImageProcessorPil

    processor: Any = EomtImageProcessorPil.from_pretrained(folder / "weights")
    pixels, picture = torch.from_numpy(noise(SIDE, SIDE)), noise(*PICTURE)

    def to_map() -> object:
        inputs = processor(images=picture, return_tensors="pt", input_data_format="channels_last")
        outputs = model(pixel_values=inputs["pixel_values"])
        return processor.post_process_panoptic_segmentation(outputs, target_sizes=[PICTURE])

    network = Network(model)
    networks[THEIRS], whole[THEIRS] = (lambda: network(pixels)), to_map
    path = folder / "old.onnx"
    torch.onnx.export(
        network,
        (pixels,),
        path,
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=["logits", "masks"],
    )
    networks[THEIR_GRAPH] = in_onnxruntime(path)


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


def in_onnxruntime(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    image = noise(SIDE, SIDE)
    return lambda: session.run(None, {"image": image})


def add_ours(folder: Path, networks: dict[str, Run], whole: dict[str, Run]) -> None:
    image, picture = noise(SIDE, SIDE), noise(*PICTURE)[0]
    for form in ("standard", "fused"):
        arguments = ["--weights", str(folder / "weights"), "--task", "panoptic", "--attention", form]
        if export.main([*arguments, "-o", str(folder / f"{form}.onnx")]):
            sys.exit(1)
        for backend in ("onnxruntime", "openvino"):
            segmenter = pem_edge.load(folder / f"{form}.onnx", backend=backend)
            networks[f"ours, {form} attention, {backend}"] = partial(segmenter.backend, image)
            whole[f"ours, {form} attention, {backend}"] = partial(segmenter, picture)
            print(f"{len(segmenter(picture).segments)} segments", file=sys.stderr)


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)


def matrix_rate() -> float:
    """Return the multiply-accumulates a second of a product of the size of those in the blocks."""
    a, b = torch.randn(1605, 1536), torch.randn(1536, 384)
    return a.shape[0] * b.numel() / min(seconds(lambda: a @ b) for _ in range(50))


def page(networks: dict[str, float], whole: dict[str, float], rate: float) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("transformers", "torch", "onnxruntime", "openvino"))
    return "\n\n".join(
        [
            f"# EoMT-S at {SIDE}x{SIDE} beside transformers', {date.today():%-d %B %Y}",
            f"`scripts/bench/networks/eomt_speed.py`; {packages}; {cpu.name()}, {torch.get_num_threads()} threads. Medians of "
            f"{ROUNDS} rounds in which all take turns. Products of the size of those in the blocks reach "
            f"{rate / 1e9:.0f} GMAC/s.",
            "The network alone, bytes to logits:",
            table(
                ["", "ms", "times as fast as torch", "as the old exporter's graph", "share of the matrix rate"],
                network_rows(networks, rate),
            ),
            f"From a picture of {PICTURE[0]}x{PICTURE[1]}, an array, to its panoptic map:",
            table(["", "ms", "times as fast"], whole_rows(whole)),
        ]
    )


def network_rows(found: dict[str, float], rate: float) -> Iterator[list[str]]:
    macs = variant_list.works()["eomt-s"].macs_total
    for name, median in found.items():
        share = macs / median / rate
        beside = (f"{found[other] / median:.2f}" for other in (THEIRS, THEIR_GRAPH))
        yield [name, f"{median * 1e3:.0f}", *beside, f"{share:.0%}"]


def whole_rows(found: dict[str, float]) -> Iterator[list[str]]:
    for name, median in found.items():
        yield [name, f"{median * 1e3:.0f}", f"{found[THEIRS] / median:.2f}"]


if __name__ == "__main__":
    main()
