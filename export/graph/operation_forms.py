"""Which of several equivalent forms of an operation goes into the graph: decided once, here."""

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
    """The form of each operation that has several.

    Attributes:
        deform_conv: ``native`` is ONNX's DeformConv, ``standard`` GridSample and a product, ``plugin`` our operator,
            ``nvidia`` the plugin for deformable attention that comes with TensorRT.
        upsample: ``transposed`` is ConvTranspose, ``phases`` the ordinary convolutions it consists of, interleaved.
        precision: ``fp16`` computes in half precision except for the islands of `export.graph.rewrites.half`.
        outputs: The type of logits and masks.
    """

    deform_conv: DeformConvForm = "standard"
    upsample: UpsampleForm = "phases"
    precision: Precision = "fp32"
    outputs: OutputType = "float32"


DEFAULTS: dict[Target, Forms] = {"onnx": Forms(), "trt": Forms("native", "transposed"), "trt-rtx": Forms()}
"""What ``auto`` means for each target. ONNX: `standard` runs on every backend and onnxruntime runs both equally fast;
`phases` is what onnxruntime's convolution kernels run faster than its ConvTranspose. TensorRT has kernels for both, and
`plugin` where ours is built; TensorRT-RTX has no plugins, so no deformable convolution but `standard`."""


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
    """Return the forms for ``target``, with ``auto`` replaced by that target's default.

    Args:
        target: The kind of artifact.
        deform_conv: The form of deformable convolution.
        upsample: The form of upsampling.
        precision: The precision of the graph.
        outputs: The type of logits and masks.
        plugin: Whether our plugin is built.
        int8: Whether convolutions will be quantized, for which transposed ones have no kernels.
    """
    default = replace(DEFAULTS[target], upsample="phases") if int8 else DEFAULTS[target]
    usual = "plugin" if plugin and target == "trt" else default.deform_conv
    return Forms(
        deform_conv=usual if deform_conv == "auto" else deform_conv,
        upsample=default.upsample if upsample == "auto" else upsample,
        precision=precision,
        outputs=outputs,
    )
