"""Chooses among equivalent implementations ("forms") of an operation, by target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

DeformConvForm = Literal["native", "standard", "gather", "plugin", "nvidia"]
UpsampleForm = Literal["transposed", "phases"]
Precision = Literal["fp32", "fp16"]
AttentionForm = Literal["standard", "fused"]
Deformable = Literal["convolution", "attention"]
OutputType = Literal["float32", "float16"]
Target = Literal["onnx", "trt", "trt-rtx"]


@dataclass(frozen=True)
class Forms:
    """The implementation of each operation that has several, and the floating-point precision.

    Attributes:
        deform_conv: ``native`` is ONNX's DeformConv, ``standard`` GridSample and a matrix product, ``gather`` Gather
            in place of GridSample, ``plugin`` the operator of our TensorRT plugin, and ``nvidia`` TensorRT's own plugin
            for deformable attention.
        upsample: ``transposed`` is ConvTranspose, ``phases`` its ordinary convolutions, interleaved.
        attention: Of Vision Transformers: ``standard`` is two products and a softmax, which every engine fuses or runs,
            ``fused`` the operator MultiHeadAttention of ONNX Runtime, which OpenVINO has, too, and TensorRT has not.
        precision: ``fp16`` computes in half precision except for the modules that
            `pem_edge.export.graph.rewrites.half` keeps in single precision.
        outputs: The data type of the class and mask logits.
    """

    deform_conv: DeformConvForm = "standard"
    upsample: UpsampleForm = "phases"
    attention: AttentionForm = "standard"
    precision: Precision = "fp32"
    outputs: OutputType = "float32"


DEFAULTS: dict[Target, Forms] = {
    "onnx": Forms("native"),
    "trt": Forms("gather", "transposed"),
    "trt-rtx": Forms("gather"),
}
"""The forms that ``auto`` stands for, by target, where no plugin serves.

ONNX: ``native`` is the fastest on CPUs, where OpenVINO and ONNX Runtime from 1.25 on run it; ``standard`` runs in all
releases. ONNX Runtime runs ``phases`` faster than ConvTranspose.
TensorRT has kernels for ``transposed``. Some of its releases build engines whose GridSample is wrong, and TensorRT-RTX
has no plugins, which leaves ``gather``.
"""


def resolve(
    target: Target,
    deform_conv: DeformConvForm | Literal["auto"] = "auto",
    upsample: UpsampleForm | Literal["auto"] = "auto",
    *,
    attention_form: AttentionForm = "standard",
    precision: Precision = "fp32",
    outputs: OutputType = "float32",
    plugin: bool = False,
    deformable: Deformable | None = "convolution",
    int8: bool = False,
    native: bool = True,
    for_engine: bool = False,
) -> Forms:
    """Return the forms for ``target``, with ``auto`` replaced by the default of that target.

    Args:
        target: The kind of artifact.
        deform_conv: The form of deformable convolution.
        upsample: The form of upsampling.
        attention_form: The form of attention in Vision Transformers.
        precision: The floating-point precision of the graph.
        outputs: The data type of the class and mask logits.
        plugin: Whether our TensorRT plugin is built; if so, it is the default for ``trt``.
        deformable: The deformable operation that the model has. Of attention, NVIDIA's plugin takes the place of ours
            and of DeformConv, and is the default for ``trt``. A model that has none needs no plugin, whatever is asked.
        int8: Whether convolutions will be quantized; ``phases`` is then the default, as there are no INT8 kernels for
            transposed convolutions.
        native: Whether a backend here runs ONNX's DeformConv, against which a graph for ``onnx`` could be held; if not,
            ``standard`` is the default.
        for_engine: Whether an engine will be built of a graph for ``onnx``; ``gather`` is then the default, as it is
            for engines.
    """
    default = replace(DEFAULTS[target], upsample="phases") if int8 else DEFAULTS[target]
    if target == "trt" and (plugin or deformable == "attention"):
        default = replace(default, deform_conv="plugin")
    elif target == "onnx" and for_engine:
        default = replace(default, deform_conv="gather")
    elif target == "onnx" and (deformable == "attention" or not native):
        default = replace(default, deform_conv="standard")
    form = default.deform_conv if deform_conv == "auto" else deform_conv
    if deformable is None:
        form = "standard"
    elif deformable == "attention" and form in ("native", "plugin"):
        form = "nvidia"
    return Forms(
        deform_conv=form,
        upsample=default.upsample if upsample == "auto" else upsample,
        attention=attention_form,
        precision=precision,
        outputs=outputs,
    )
