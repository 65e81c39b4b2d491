"""PEM, Mask2Former and PRO-SCALE in PyTorch, written to be exported to ONNX.

PEM is described in Cavagnero et al., "PEM: Prototype-based Efficient MaskFormer", CVPR 2024. Public names are imported
on first use, so that commands can print their help without importing PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pem_edge.runtime import lazy_names

if TYPE_CHECKING:
    from pem_edge.pem.checkpoints import load, save
    from pem_edge.pem.model import PEM
    from pem_edge.pem.variant import Variant
    from pem_edge.pem.variants import VARIANTS, build

__all__ = ["PEM", "VARIANTS", "Variant", "build", "load", "save"]

__getattr__ = lazy_names.importer(
    __name__,
    {
        "PEM": "model",
        "VARIANTS": "variants",
        "Variant": "variant",
        "build": "variants",
        "load": "checkpoints",
        "save": "checkpoints",
    },
)
