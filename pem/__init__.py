"""PEM in PyTorch (Cavagnero et al., "PEM: Prototype-based Efficient MaskFormer", CVPR 2024), written for export.

Public names are imported when they are first used, so that commands answer before PyTorch has been imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pem_edge.runtime import lazy_names

if TYPE_CHECKING:
    from pem_edge.pem.checkpoints import load, save
    from pem_edge.pem.model import PEM
    from pem_edge.pem.variants import VARIANTS, Variant, build

__all__ = ["PEM", "VARIANTS", "Variant", "build", "load", "save"]

__getattr__ = lazy_names.importer(
    __name__,
    {
        "PEM": "model",
        "VARIANTS": "variants",
        "Variant": "variants",
        "build": "variants",
        "load": "checkpoints",
        "save": "checkpoints",
    },
)
