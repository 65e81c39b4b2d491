"""Sections of a manifest: hashed files, engines, quantization, and the amount of computation."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec


class FileHash(msgspec.Struct, frozen=True):
    """A file's name and hex SHA-256."""

    file: str
    sha256: str


class Weights(FileHash, frozen=True, omit_defaults=True):
    """The trained weights of a model: the file, the first one if they are in parts, and where it is from.

    Attributes:
        parts: The other parts.
        source: The name of the model on the Hugging Face hub; None if it is not from there.
        revision: The commit of that model.
        license: The SPDX identifier of the weights' license; None if it is unknown.
    """

    parts: tuple[FileHash, ...] = ()
    source: str | None = None
    revision: str | None = None
    license: str | None = None


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """A compiled engine: its source and the GPUs that it runs on.

    Attributes:
        target: The product, TensorRT ("trt") or TensorRT-RTX ("trt-rtx").
        version: The version of that product.
        gpu: The GPU that the engine was built on; "none" if there was none.
        compute_capabilities: The compute capabilities that it runs on, such as "8.7".
        source: The ONNX file that it was built from, in the same folder.
        plugin: The library of its deformable convolutions, in the same folder; None if it needs none.
        version_compatible: Whether later versions of TensorRT can load it.
        hardware_compatible: TensorRT's level of hardware compatibility; "none" for the GPU's own.
        layers: The number of layers by the type that they compute in, "unknown" if it is not stated. Depending on
            ``built_by.layers_from``, these are the engine's layers or those of the network that it was built from.
    """

    target: Literal["trt", "trt-rtx"]
    version: str
    gpu: str
    compute_capabilities: tuple[str, ...]
    source: FileHash
    plugin: FileHash | None = None
    version_compatible: bool = False
    hardware_compatible: str = "none"
    layers: dict[str, int] = {}


Placement = Literal["cpu", "tensorrt"]
"""Kind of kernels that the placement of quantize and dequantize nodes (Q/DQ) is for."""

RangeMethod = Literal["max", "percentile", "entropy", "mse"]
"""Method that derives a tensor's INT8 range from its values during calibration."""


class Quantization(msgspec.Struct, frozen=True, kw_only=True):
    """The calibration of an INT8 model, and its accuracy and speed compared with floating point.

    Attributes:
        placement: The kernels that Q/DQ nodes are placed for.
        method: The method that derived the ranges.
        source: The source of the calibration images.
        images: The number of calibration images.
        images_sha256: The SHA-256 of the calibration images.
        layers: The names of the nodes that compute in INT8.
        kept: The names of the blocks that were kept in floating point.
        share_of_convolutions: The fraction of the multiply-accumulates of ordinary convolutions in INT8, 0 to 1.
        share_of_all: The fraction of all multiply-accumulates in INT8, 0 to 1.
        agreement: The percentage of pixels whose class is the same as in single precision; of a model for instances,
            the percentage of the pixels that belong to a segment in either.
        pq: The PQ in percent of "fp32" and "int8" on labeled images, if there were any.
        miou: The mean IoU instead, if the model is for semantic maps.
        sensitivity: The loss of `measure` in percentage points with a single block in INT8, by the block's name.
        milliseconds: The time of one run, by precision.
        timed_in: The backend that was timed; "nothing" if there was none.
    """

    placement: Placement
    method: RangeMethod
    source: str
    images: int
    images_sha256: str
    layers: tuple[str, ...]
    kept: tuple[str, ...] = ()
    share_of_convolutions: float
    share_of_all: float
    agreement: float
    pq: dict[str, float] | None = None
    miou: dict[str, float] | None = None
    sensitivity: dict[str, float] = {}
    milliseconds: dict[str, float] = {}
    timed_in: str = "nothing"

    @property
    def measure(self) -> Literal["PQ", "mean IoU", "agreement"]:
        """What the loss was measured in."""
        if self.pq is not None:
            return "PQ"
        return "agreement" if self.miou is None else "mean IoU"


Count = Annotated[int, msgspec.Meta(ge=0)]
"""Number, 0 and up."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """The amount of computation and memory traffic of one run, counted from the graph.

    Attributes:
        macs: The multiply-accumulates by type of operator.
        parameters: The number of parameters in the checkpoint.
        weight_bytes: The size of the graph's constants in the types that it reads them in.
        activation_bytes: The bytes that nodes read and write, including the image and the results. Elementwise
            operations count as part of the node that computes their input.
        height: The height in pixels that was counted for.
        width: The width in pixels that was counted for.
        batch: The number of images that was counted for.
    """

    macs: dict[str, Count]
    parameters: Count
    weight_bytes: Count
    activation_bytes: Count
    height: int
    width: int
    batch: int

    @property
    def macs_total(self) -> int:
        """Multiply-accumulates of all operators."""
        return sum(self.macs.values())
