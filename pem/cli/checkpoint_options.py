"""The options that name a checkpoint, which ``pem-train`` and ``pem-export`` share; needs no PyTorch."""

from __future__ import annotations

import argparse

CHECKPOINT = (
    "a file (.pth, .pkl, .safetensors, ...), a folder that transformers wrote, the name of a model on the Hugging Face "
    "hub, or demo"
)
"""What ``--weights`` takes, for its help."""


def add_choice(group: argparse._ArgumentGroup) -> None:
    """Add ``--revision`` and ``--part``, which say what of the checkpoint to take."""
    group.add_argument(
        "--revision", metavar="REV", help="branch, tag or commit of a model on the hub (default: the newest)"
    )
    group.add_argument(
        "--part",
        metavar="NAME",
        help="which of several sets of weights in a file, such as model_ema (default: the model's, not its averages)",
    )
