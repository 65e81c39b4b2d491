"""The origin of an artifact: the software that built it, and how its outputs compare with those of a reference."""

from __future__ import annotations

from typing import Literal

import msgspec

Precision = Literal["fp32", "fp16", "int8"]
"""Precision of a model's arithmetic."""


class BuiltBy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"pem_edge": "pem-edge"}):
    """The versions and settings that an artifact was built with; None for those that were not involved.

    Attributes:
        pem_edge: The version of this package.
        torch: The version of PyTorch that traced the graph.
        onnx: The version of onnx.
        onnxscript: The version of onnxscript.
        python: The version of Python.
        opset: The version of ONNX's operator set.
        upsample: The implementation of upsampling: a transposed convolution or the convolutions of its phases.
        attention: The implementation of attention in Vision Transformers: products and softmax, or one operator.
        calibration: The source of the calibration images; "none" for a floating-point model.
        remainder: In an INT8 model, the precision of everything that is not in INT8.
        gpu: The GPU that an engine was built on; "none" if there was none.
        tensorrt: The version of TensorRT.
        tensorrt_rtx: The version of TensorRT-RTX.
        polygraphy: The version of Polygraphy.
        cuda_driver: The version of CUDA that the driver supports, such as "13.2"; "none" if there was none.
        workspace: The maximum bytes that a layer of an engine may use while it runs; "all" for no limit.
        optimization_level: TensorRT's optimization level, 0 to 5; "default" if TensorRT chose.
        layers_from: The origin of the list of layers: the built engine or the network that it was built from.
    """

    pem_edge: str
    torch: str | None = None
    onnx: str | None = None
    onnxscript: str | None = None
    python: str | None = None
    opset: str | None = None
    upsample: Literal["transposed", "phases"] | None = None
    attention: Literal["standard", "fused"] | None = None
    calibration: str | None = None
    remainder: Precision | None = None
    gpu: str | None = None
    tensorrt: str | None = None
    tensorrt_rtx: str | None = None
    polygraphy: str | None = None
    cuda_driver: str | None = None
    workspace: str | None = None
    optimization_level: str | None = None
    layers_from: Literal["engine", "network"] | None = None


class Tolerance(msgspec.Struct, frozen=True, kw_only=True):
    """The limits that the outputs must meet.

    Attributes:
        logits: The maximum difference of a class logit, for an image to count as within tolerance.
        masks: The maximum difference of a mask logit, for an image to count as within tolerance.
        agreement: The minimum fraction of agreeing pixels, 0 to 1, which every image must reach.
        tie: The fraction by which, in the reference, a score or probability may be below the highest and still count as
            the highest, when it is decided whether a pixel agrees (see `verification.differences.compare`).
    """

    logits: float = 1e-3
    masks: float = 5e-3
    agreement: float = 0.98
    tie: float = 0.0


class TypicalDifference(msgspec.Struct, frozen=True):
    """The medians over the images of the largest differences of class and mask logits."""

    logits: float
    masks: float


class WorstDifference(msgspec.Struct, frozen=True):
    """The largest differences of class and mask logits and the lowest agreement on any image."""

    logits: float
    masks: float
    agreement: float


class Difference(msgspec.Struct, frozen=True, omit_defaults=True):
    """The differences of one image's outputs.

    Attributes:
        size: The image's size, "HxW".
        logits: The largest difference of a class logit.
        masks: The largest difference of a mask logit.
        agreement: The fraction of pixels that agree as `Tolerance` defines it, 0 to 1.
        batch: The number of images in the batch; None if the whole batch was compared as one.
        slot: The image's place in the batch, from 0; None likewise.
    """

    size: str
    logits: float
    masks: float
    agreement: float
    batch: int | None = None
    slot: int | None = None


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison of one backend's outputs with those of a reference.

    Attributes:
        passed: Whether the comparison passed.
        images: The number of images.
        within_tolerance: The number of images whose logits and masks are within tolerance.
        tolerance: The limits.
        median: The medians over the images.
        worst: The worst values over the images.
        each: The differences of every image.
    """

    passed: bool
    images: int
    within_tolerance: int
    tolerance: Tolerance
    median: TypicalDifference
    worst: WorstDifference
    each: tuple[Difference, ...]


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison of a model with its ONNX model in ONNX Runtime on the CPU.

    Attributes:
        version: The version of the library that ran the model.
        gpu: The GPU that it ran on; "none" for the CPU.
        reference: What ran the ONNX model, such as "onnxruntime 1.25.0".
        parity: The differences, at each size and each place in the batch.
    """

    version: str
    gpu: str
    reference: str
    parity: Parity


Standing = Verification | Literal["not verified yet"]
"""What is known of a model in a backend."""

NOT_VERIFIED: Standing = "not verified yet"
