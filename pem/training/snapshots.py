"""A run's whole state in one file, from which it goes on as if it had never stopped.

Random numbers and the data's position need no place in it: both follow from the seed and the step.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, TypeAlias

import torch

from pem_edge.runtime.errors import CheckpointError, OutputError
from pem_edge.runtime.files import writing

NAME = "checkpoint.pth"

Snapshot: TypeAlias = dict[str, Any]  # tensors and plain values


def save(snapshot: Snapshot, path: Path) -> None:
    """Write it; until it is complete, the one before stays. Raises OutputError."""
    try:
        with writing(path) as temporary:
            torch.save(snapshot, temporary)
    except RuntimeError as error:  # torch's, for a disk that is full
        kept = "; the checkpoint before it is still there" if path.exists() else ""
        raise OutputError(f"cannot write {path}: {str(error).splitlines()[0][:120]}{kept}") from error


def load(path: Path) -> Snapshot:
    """Read it. Raises CheckpointError if there is none or it is damaged."""
    if not path.is_file():
        raise CheckpointError(f"no training to resume at {path}: leave out --resume to start one")
    try:
        snapshot: Snapshot = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0][:120]
        raise CheckpointError(f"{path} is damaged or no training checkpoint ({reason}): start again") from error
    if not isinstance(snapshot, dict) or not {"step", "model", "average", "optimizer"} <= snapshot.keys():
        raise CheckpointError(f"{path} is not a training checkpoint: give the folder an earlier pem-train wrote")
    return snapshot
