"""The networks that are compared: ours with the kernels, and the published formulation, on the same weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from pem_edge import pem
from pem_edge.export.graph.rewrites.batchnorm import fold_batchnorm
from pem_edge.export.graph.rewrites.half import compute_in_half
from pem_edge.pem import checkpoints
from pem_edge.pem.layers.deform_conv import ModulatedDeformConv
from pem_edge.runtime.datasets.toy_streets import ToyStreets
from reference.published_form import ReferenceForm
from reference.weights import randomized
from scripts.gpu.bench import Bench
from scripts.gpu.devices.device import Device

CLASSES = 19
STREET_SIZE, STREET_SEED = (256, 512), 7
Network = Callable[[Tensor], tuple[Tensor, Tensor]]
Size = tuple[int, int]
Precision = Literal["fp16", "tf32", "fp32"]
Form = Literal["ours", "published"]
Weights = Literal["random", "demo"]
PRECISIONS: tuple[Precision, ...] = ("fp16", "tf32", "fp32")
FORMS: tuple[Form, ...] = ("ours", "published")


class Case(NamedTuple):
    """A network to run.

    Attributes:
        variant: The name of the variant.
        size: Height and width of the images.
        precision: The type of most of the arithmetic; "tf32" is float32 as the GPU's tensor cores multiply it.
        form: Whether ours or the published one.
        compiled: Whether by torch.compile.
        weights: Whether random, or those that come with the package, of pem-nano, trained on toy streets. Only trained
            ones show that a layer is wrong: with random weights, what a layer makes of its input hardly matters.
    """

    variant: str
    size: Size
    precision: Precision
    form: Form
    compiled: bool = False
    weights: Weights = "random"


def trained(precision: Precision, size: Size = STREET_SIZE) -> Case:
    """Return the case of ours on trained weights."""
    return Case("pem-nano", size, precision, "ours", weights="demo")


def build(case: Case, bench: Bench) -> Network:
    """Return the network, in eval mode on the bench's device; TF32 is allowed from now on if it is for that."""
    _allow_tf32(case.precision == "tf32")
    return prepared(weighted(case), case, bench)


def prepared(model: pem.MaskClassifier, case: Case, bench: Bench) -> Network:
    """Return the network of a model's weights; the model itself is changed."""
    half = case.precision == "fp16"
    if case.form == "ours":
        fold_batchnorm(model)
        if case.variant.startswith("pem"):
            from scripts.gpu.networks.operators import use_kernels

            use_kernels(model, bench.harness, bench.device, half=half)
    convolutions = [each for each in model.modules() if isinstance(each, ModulatedDeformConv)]
    for convolution in convolutions:
        convolution.operator = PublishedOperator(bench.device)
    if half:
        compute_in_half(model)
    model.to(bench.device.name).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for convolution in convolutions:  # as torchvision wants it, which would copy it at every call
        convolution.weight.data = convolution.weight.data.contiguous()
    network = ReferenceForm(model).eval() if case.form == "published" else model
    return torch.compile(network, dynamic=False, backend=bench.device.compiler) if case.compiled else network


def images(case: Case, device: Device) -> Tensor:
    """Return the batch of one image that a network gets, uint8 (1, H, W, 3): noise, or a street for trained weights."""
    if case.weights == "demo":
        return torch.from_numpy(ToyStreets(1, *case.size, seed=STREET_SEED)[0].image.copy())[None].to(device.name)
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (1, *case.size, 3), dtype=torch.uint8, generator=generator).to(device.name)


def expected(case: Case, device: Device) -> list[Tensor]:
    """Return the outputs of the published formulation in float32, without TF32; `build` is to be called after it."""
    return _expected(Case(case.variant, case.size, "fp32", "published", weights=case.weights), device)


@cache
def _expected(case: Case, device: Device) -> list[Tensor]:
    _allow_tf32(False)
    published = ReferenceForm(weighted(case)).eval().to(device.name)
    return [each.float() for each in published(images(case, device))]


class PublishedOperator(nn.Module):
    """The operator of the published code, or what stands for it."""

    def __init__(self, device: Device) -> None:
        super().__init__()
        self._device = device

    def forward(self, data: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """See `pem_edge.pem.layers.deform_conv.DeformConv2d.forward`."""
        return self._device.deform_conv(data, offsets, mask, weight, bias)


def weighted(case: Case) -> pem.MaskClassifier:
    """Return a new model with the weights of a case, on the CPU and in eval mode."""
    if case.weights == "demo":
        return checkpoints.load(checkpoints.DEMO)
    return copy.deepcopy(_randomized(case.variant))


@cache
def _randomized(variant: str) -> pem.MaskClassifier:
    return randomized(pem.build(variant, num_classes=CLASSES))


def _allow_tf32(allowed: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
