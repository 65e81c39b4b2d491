"""Chooses among equivalent implementations ("forms") of an operation, by target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

DeformConvForm = Literal["native", "standard", "plugin", "nvidia"]
UpsampleForm = Literal["transposed", "phases"]
Precision = Literal["fp32", "fp16"]
OutputType = Literal["float32", "float16"]
Target = Literal["onnx", "trt", "trt-rtx"]


@dataclass(frozen=True)
class Forms:
    """The implementation of each operation that has several, and the floating-point precision.

    Attributes:
        deform_conv: ``native`` is ONNX's DeformConv, ``standard`` GridSample and a matrix product, ``plugin`` the
            operator of our TensorRT plugin, and ``nvidia`` TensorRT's own plugin for deformable attention.
        upsample: ``transposed`` is ConvTranspose, ``phases`` its ordinary convolutions, interleaved.
        precision: ``fp16`` computes in half precision except for the modules that
            `pem_edge.export.graph.rewrites.half` keeps in single precision.
        outputs: The data type of the class and mask logits.
    """

    deform_conv: DeformConvForm = "standard"
    upsample: UpsampleForm = "phases"
    precision: Precision = "fp32"
    outputs: OutputType = "float32"


DEFAULTS: dict[Target, Forms] = {"onnx": Forms(), "trt": Forms("native", "transposed"), "trt-rtx": Forms()}
"""The forms that ``auto`` stands for, by target.

ONNX: every backend runs ``standard``, and ONNX Runtime runs it as fast as ``native``; it runs ``phases`` faster than
ConvTranspose. TensorRT has kernels for ``native`` and ``transposed``. TensorRT-RTX has no plugins, which leaves
``standard`` alone.
"""


def resolve(
    target: Target,
    deform_conv: DeformConvForm | Literal["auto"] = "auto",
    upsample: UpsampleForm | Literal["auto"] = "auto",
    *,
    precision: Precision = "fp32",
    outputs: OutputType = "float32",
    plugin: bool = False,
    int8: bool = False,
) -> Forms:
    """Return the forms for ``target``, with ``auto`` replaced by the default of that target.

    Args:
        target: The kind of artifact.
        deform_conv: The form of deformable convolution.
        upsample: The form of upsampling.
        precision: The floating-point precision of the graph.
        outputs: The data type of the class and mask logits.
        plugin: Whether our TensorRT plugin is built; if so, it is the default for ``trt``.
        int8: Whether convolutions will be quantized; ``phases`` is then the default, as there are no INT8 kernels for
            transposed convolutions.
    """
    default = replace(DEFAULTS[target], upsample="phases") if int8 else DEFAULTS[target]
    default_deform_conv = "plugin" if plugin and target == "trt" else default.deform_conv
    return Forms(
        deform_conv=default_deform_conv if deform_conv == "auto" else deform_conv,
        upsample=default.upsample if upsample == "auto" else upsample,
        precision=precision,
        outputs=outputs,
    )
