"""Training: the recipe of the paper, as commands and as parts. What it minimises is no part of the model."""

from pem_edge.pem.training.settings import Settings
from pem_edge.pem.training.trainer import Trainer

__all__ = ["Settings", "Trainer"]
