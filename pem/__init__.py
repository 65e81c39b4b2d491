"""PEM in PyTorch (Cavagnero et al., "PEM: Prototype-based Efficient MaskFormer", CVPR 2024), written for export."""

from pem_edge.pem.checkpoints import load, save
from pem_edge.pem.model import PEM
from pem_edge.pem.variants import VARIANTS, Variant, build

__all__ = ["PEM", "VARIANTS", "Variant", "build", "load", "save"]
