"""Where an artifact comes from: what it was built by, and the proof that it computes the same as the PyTorch model."""

from __future__ import annotations

from typing import Literal

import msgspec


class BuiltBy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"pem_edge": "pem-edge"}):
    """The versions and choices that an artifact depends on; None for what had no part in it.

    Attributes:
        pem_edge: The version of this package.
        torch: The version of PyTorch that traced the graph.
        onnx: The version of onnx.
        onnxscript: The version of onnxscript.
        python: The version of Python.
        opset: The version of ONNX's operators.
        upsample: The form of upsampling, "transposed" or "phases".
        calibration: The source of the calibration images; "none" for floating point.
        remainder: The precision of what is not in INT8.
        gpu: The GPU that an engine was built on; "none" where there was none.
        tensorrt: The version of TensorRT.
        tensorrt_rtx: The version of TensorRT-RTX.
        polygraphy: The version of Polygraphy.
        cuda_driver: The version of CUDA that the driver is for, such as "13.2"; "none" where there was none.
        workspace: The most bytes a layer of an engine may use while it runs; "all" for no limit.
        optimization_level: TensorRT's optimization level, 0 to 5; "default" for TensorRT's choice.
        layers_from: Whether the built engine or the network it was built from listed the layers.
    """

    pem_edge: str
    torch: str | None = None
    onnx: str | None = None
    onnxscript: str | None = None
    python: str | None = None
    opset: str | None = None
    upsample: str | None = None
    calibration: str | None = None
    remainder: str | None = None
    gpu: str | None = None
    tensorrt: str | None = None
    tensorrt_rtx: str | None = None
    polygraphy: str | None = None
    cuda_driver: str | None = None
    workspace: str | None = None
    optimization_level: str | None = None
    layers_from: Literal["engine", "network"] | None = None


class Tolerance(msgspec.Struct, frozen=True, kw_only=True):
    """The largest differences of an image that agrees, and the least share of pixels where every image must agree.

    A pixel agrees if its winner's score is, by the PyTorch model, within a share ``tie`` of the best.
    """

    logits: float = 1e-3
    masks: float = 5e-3
    agreement: float = 0.98
    tie: float = 0.0


class TypicalDifference(msgspec.Struct, frozen=True):
    """The median, over images, of the largest differences of class and mask logits."""

    logits: float
    masks: float


class WorstDifference(msgspec.Struct, frozen=True):
    """The largest differences of class and mask logits on any image, and the least agreement."""

    logits: float
    masks: float
    agreement: float


class Difference(msgspec.Struct, frozen=True):
    """How one image's outputs differ.

    Attributes:
        size: The image's size, "HxW".
        logits: The largest difference of a class logit.
        masks: The largest difference of a mask logit.
        agreement: The share of pixels whose winner is as good as the PyTorch model's, 0 to 1.
    """

    size: str
    logits: float
    masks: float
    agreement: float


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """How well the outputs of one backend agree with those of the PyTorch model."""

    passed: bool
    images: int
    within_tolerance: int
    tolerance: Tolerance
    median: TypicalDifference
    worst: WorstDifference
    each: tuple[Difference, ...]
