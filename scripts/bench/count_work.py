#!/usr/bin/env python
"""Count parameters and multiply-accumulates of every variant, as exported and as published.

Writes a page of Markdown to standard output, and the table that ``pem-export --list`` shows. Nothing is computed:
graphs are traced, modules run on tensors without data. Takes some 20 s a variant and size.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[2]))
from pem_edge import pem
from pem_edge.calibration.graph.index import Graph
from pem_edge.calibration.graph.macs import macs
from pem_edge.calibration.graph.shapes import shapes
from pem_edge.export import workload
from pem_edge.export.cli import variant_list
from pem_edge.export.graph import tracing
from pem_edge.export.graph.operation_forms import Forms
from pem_edge.export.graph.rewrites import prepare
from pem_edge.pem import MaskClassifier
from pem_edge.pem.decoder import MaskDecoder, MaskProduct, ProjectingMaskProduct
from pem_edge.pem.pixel_decoders.encoder import Depths
from pem_edge.pem.variants.pyramid import PyramidVariant
from pem_edge.runtime.artifacts.manifest import InputSpec
from pem_edge.runtime.artifacts.sections import Work
from pem_edge.runtime.files import write_atomically
from reference import module_macs
from scripts.reports.markdown import table

CLASSES = 19
SIZES = ((1024, 2048), (800, 1344))
"""Cityscapes, and COCO's 800x1333 padded to multiples of 32."""

PARTS = ("backbone", "pixel_decoder", "decoder")


@dataclass(frozen=True)
class Published:
    """Parameters in millions, GMAC at 1024x2048."""

    parameters: str
    gmac: int


@dataclass(frozen=True)
class Row:
    """A variant, or one of other depths than the table's."""

    variant: str
    depths: Depths | None = None

    @property
    def name(self) -> str:
        return self.variant if self.depths is None else f"{self.variant} {self.depths}"

    def build(self, device: str = "cpu") -> MaskClassifier:
        with torch.device(device):
            return pem.build(self.variant, CLASSES, encoder_layers=self.depths)


PUBLISHED = {
    Row("pem-r50"): Published("35.6", 237),
    Row("pem-stdc1"): Published("17.0", 92),
    Row("pem-stdc2"): Published("21.0", 118),
    Row("mask2former-r50"): Published("44.0", 524),
    Row("proscale-r50"): Published("-", 378),
    Row("proscale-r50", (1, 1, 1)): Published("-", 298),
}
"""PEM (CVPR 2024), PRO-SCALE (ICLR 2025); the latter's figures for Mask2Former."""

REWRITE_TITLES = (
    "backbone",
    "masks at their level's size",
    "mask features' convolution on embeddings",
    "classes once",
)

COUNTED = """\
Counted are products that are summed: convolutions, products of matrices, attention's among them, and bilinear sampling
at four an output element, whether it is a node of its own or inside a deformable convolution. Normalization, activation
functions, softmax, pooling, resizing, other elementwise operations and biases are not. *Ours* is the graph that
`pem-export --to onnx` writes by default; the *published form* is the published formulation on the same modules
(`reference/published_form.py`), counted by torch as it runs. *Weights* and *activations* are bytes, as in the
manifest of an artifact in single precision: constants, and what nodes read and write of each other, elementwise
operations being part of what makes their input."""

SAVED = """\
What each rewrite saves, GMAC. The backbone's saving is Swin's: pixels that only fill up windows are not projected after
attention. Masks for attention are predicted at the size of the level that is attended to, instead of at stride 4 and
then resized. The last, 1x1 convolution of the mask features is applied to the queries' embeddings instead of to each
pixel. Classes are predicted once instead of before each layer. The last three were counted with each alone undone. The
rest is what the export computes once: the embeddings of the first prediction, the first layer's projection of the
queries."""

PUBLISHED_TEXT = """\
fvcore, with which Mask2Former's tools count, takes a batch normalization for 2 an element, layer and group
normalization for 5, bilinear resizing for 4, and passes over custom operators, the sampling of deformable attention
among them. At these rates PEM's figures come out within 0.6 GMAC, if the product of its deformable convolutions is
counted and their sampling is not. Mask2Former's and PRO-SCALE's then lack 2.0 to 2.2 GMAC. Resizing 100 masks to the
image twice, as the published module does after what ours does, is 2 x 4 x 100 x 1024 x 2048, 1.7 of them. PEM-R50's
parameters are 35.59 M with the running statistics of its batch normalizations."""


@dataclass(frozen=True)
class Count:
    """What was counted of one row at one size; by part where it is a mapping, ``rewrites`` what each alone saves."""

    row: Row
    size: tuple[int, int]
    work: Work
    graph: dict[str, int]
    reference: dict[str, int]
    as_fvcore: int
    rewrites: dict[str, int]

    @property
    def saved(self) -> int:
        return sum(self.reference.values()) - self.work.macs_total


def main() -> None:
    pyramids = [Row(name) for name, variant in pem.VARIANTS.items() if isinstance(variant, PyramidVariant)]
    rows = dict.fromkeys([*pyramids, *PUBLISHED])
    counts = [count(row, size) for size in SIZES for row in rows]
    listed = {each.row.variant: each.work for each in counts if each.size == SIZES[0] and each.row.depths is None}
    for row in (Row(name) for name in pem.VARIANTS if name not in listed):
        listed[row.variant], _ = work(row, row.build("meta").trained_size or SIZES[0])
    with write_atomically(variant_list.TABLE) as file:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(listed)) + b"\n")
    print(page(counts))


def count(row: Row, size: tuple[int, int]) -> Count:
    shape, light = (1, *size), partial(row.build, "meta")
    exported, proto = work(row, size)
    reference, module = module_macs.of_reference(light(), shape), module_macs.of_model(light(), shape)
    saved = {"backbone": reference["backbone"] - module["backbone"]}
    for name, undo in REWRITES.items():
        undone = light()
        assert isinstance(undone.decoder, MaskDecoder)
        undo(undone.decoder)
        saved[name] = sum(module_macs.of_model(undone, shape).values()) - sum(module.values())
    return Count(
        row=row,
        size=size,
        work=exported,
        graph=parts(Graph(proto)),
        reference=reference,
        as_fvcore=sum(module_macs.of_reference(light(), shape, module_macs.FVCORE).values()),
        rewrites=saved,
    )


def work(row: Row, size: tuple[int, int]) -> tuple[Work, onnx.ModelProto]:
    """Return the work of a variant at a size, and its graph."""
    print(f"counting {row.name} at {size[0]}x{size[1]}", file=sys.stderr)
    spec, model = InputSpec(height=size[0], width=size[1]), row.build()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    proto = tracing.to_onnx(prepare(model, Forms(), size), tracing.example_for(spec))
    return workload.count(proto, spec, parameters), proto


def parts(indexed: Graph) -> dict[str, int]:
    """Return the multiply-accumulates of each part of the model, after which nodes are named."""
    found: Counter[str] = Counter()
    for name, macs_of_node in macs(indexed, shapes(indexed)).items():
        found[re.split(r"[./]", name)[0]] += macs_of_node
    return dict(found)


class MasksAtStride4(nn.Module):
    """The mask product of a decoder with all mask features, resized to the level for which it is asked."""

    def __init__(self, decoder: MaskDecoder) -> None:
        super().__init__()
        self.product = decoder.mask_product
        decoder.register_forward_pre_hook(self._keep)

    def forward(self, embeddings: Tensor, features: Tensor) -> Tensor:
        return F.interpolate(self.product(embeddings, self.all), features.shape[2:], mode="bilinear")

    def _keep(self, _decoder: nn.Module, arguments: tuple[Any, ...]) -> None:
        self.all = arguments[1]


def predict_masks_at_stride_4(decoder: MaskDecoder) -> None:
    decoder.mask_product = MasksAtStride4(decoder)  # type: ignore[assignment]


def convolve_mask_features(decoder: MaskDecoder) -> None:
    product = decoder.mask_product
    if isinstance(product, ProjectingMaskProduct):
        decoder.mask_product = MaskProduct()
        decoder.register_forward_pre_hook(lambda _, maps: (maps[0], F.conv2d(maps[1], product.weight, product.bias)))


def predict_classes_before_each_layer(decoder: MaskDecoder) -> None:
    def predict(_layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        decoder.class_head(arguments[0])

    for layer in decoder.layers:
        layer.register_forward_pre_hook(predict)


REWRITES: dict[str, Callable[[MaskDecoder], None]] = {
    "masks": predict_masks_at_stride_4,
    "mask features": convolve_mask_features,
    "classes": predict_classes_before_each_layer,
}
"""How each is undone."""


def page(counts: Sequence[Count]) -> str:
    usual = [each for each in counts if each.size == SIZES[0]]
    packages = ", ".join(f"{package} {version(package)}" for package in ("torch", "onnx", "onnxscript"))
    return "\n\n".join(
        [
            f"# Work, {date.today():%-d %B %Y}",
            f"`scripts/bench/count_work.py`; {packages}. {CLASSES} classes, one image.",
            COUNTED,
            *(section(f"## {size[0]}x{size[1]}", [each for each in counts if each.size == size]) for size in SIZES),
            "## Published figures",
            PUBLISHED_TEXT,
            table(
                ["variant", "parameters, M", "published", "published form, GMAC", "at fvcore's rates", "published"],
                [beside_published(each, PUBLISHED[each.row]) for each in usual if each.row in PUBLISHED],
            ),
        ]
    )


def section(title: str, counts: Sequence[Count]) -> str:
    return "\n\n".join(
        [
            title,
            table(
                ["variant", "parameters, M", "published form, GMAC", "ours", "less", "weights, MB", "activations, MB"],
                [totals(each) for each in counts],
            ),
            "By part, GMAC, published form and ours:",
            table(["variant", *(part.replace("_", " ") for part in PARTS)], [by_part(each) for each in counts]),
            SAVED,
            table(["variant", *REWRITE_TITLES, "the rest"], [by_rewrite(each) for each in counts]),
        ]
    )


def totals(each: Count) -> list[str]:
    reference, ours = sum(each.reference.values()), each.work.macs_total
    megabytes = [f"{found / 1e6:.0f}" for found in (each.work.weight_bytes, each.work.activation_bytes)]
    return [each.row.name, millions(each), giga(reference), giga(ours), f"{1 - ours / reference:.1%}", *megabytes]


def by_part(each: Count) -> list[str]:
    return [each.row.name, *(f"{giga(each.reference[part])}, {giga(each.graph[part])}" for part in PARTS)]


def by_rewrite(each: Count) -> list[str]:
    saved = list(each.rewrites.values())
    return [each.row.name, *(f"{value / 1e9:.3f}" for value in (*saved, each.saved - sum(saved)))]


def beside_published(each: Count, published: Published) -> list[str]:
    counted = [giga(sum(each.reference.values())), giga(each.as_fvcore)]
    return [each.row.name, millions(each), published.parameters, *counted, str(published.gmac)]


def millions(each: Count) -> str:
    return f"{each.work.parameters / 1e6:.2f}"


def giga(found: int) -> str:
    return f"{found / 1e9:.1f}"


if __name__ == "__main__":
    main()
