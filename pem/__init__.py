"""PEM, Mask2Former, PRO-SCALE and EoMT in PyTorch, written to be exported to ONNX.

PEM is described in Cavagnero et al., "PEM: Prototype-based Efficient MaskFormer", CVPR 2024. Public names are imported
on first use, so that commands can print their help without importing PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pem_edge.runtime import lazy_names

if TYPE_CHECKING:
    from pem_edge.pem.checkpoints import load, save
    from pem_edge.pem.model import PEM, MaskClassifier
    from pem_edge.pem.variants import VARIANTS, build
    from pem_edge.pem.variants.variant import Variant

__all__ = ["PEM", "VARIANTS", "MaskClassifier", "Variant", "build", "load", "save"]

__getattr__, __dir__ = lazy_names.importer(
    __name__,
    {
        "MaskClassifier": "model",
        "PEM": "model",
        "VARIANTS": "variants",
        "Variant": "variants.variant",
        "build": "variants",
        "load": "checkpoints",
        "save": "checkpoints",
    },
    extra="export",
)
