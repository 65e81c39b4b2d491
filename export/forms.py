"""Which of several equivalent forms of an operation goes into the graph: decided once, here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DeformConvForm = Literal["native", "standard"]
UpsampleForm = Literal["transposed", "phases"]


@dataclass(frozen=True)
class Forms:
    """``native`` is ONNX's DeformConv, ``standard`` GridSample and a product; ``transposed`` is ConvTranspose,
    ``phases`` the ordinary convolutions it consists of, interleaved.
    """

    deform_conv: DeformConvForm = "standard"
    upsample: UpsampleForm = "phases"


DEFAULTS = {"onnx": Forms()}
"""What ``auto`` means for each target: `standard` runs on every backend and onnxruntime runs both equally fast;
`phases` is what onnxruntime's convolution kernels run faster than its ConvTranspose."""


def resolve(target: str, deform_conv: str = "auto", upsample: str = "auto") -> Forms:
    """The forms for ``target``, with ``auto`` replaced by that target's default."""
    default = DEFAULTS[target]
    return Forms(
        deform_conv=default.deform_conv if deform_conv == "auto" else deform_conv,  # type: ignore[arg-type]
        upsample=default.upsample if upsample == "auto" else upsample,  # type: ignore[arg-type]
    )
