"""Snapshots: files with the whole state of a run, from which it can be resumed as if it had never stopped.

They need no state of random generators and no position in the dataset, because both follow from the seed and the step.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, TypeAlias

import torch

from pem_edge.runtime.errors import CheckpointError, OutputError, TrainingError
from pem_edge.runtime.files import write_atomically

FILE_NAME = "checkpoint.pth"

Snapshot: TypeAlias = dict[str, Any]  # tensors, state dicts, numbers and text


def save(snapshot: Snapshot, path: Path) -> None:
    """Write ``snapshot`` to ``path``, replacing an earlier one once it is complete. Raises OutputError."""
    try:
        with write_atomically(path, durable=True) as temporary:
            torch.save(snapshot, temporary)
    except RuntimeError as error:  # raised by torch if the disk is full
        kept = "; the previous checkpoint was kept" if path.exists() else ""
        raise OutputError(f"cannot write {path}: {str(error).splitlines()[0][:120]}{kept}") from error


def load(path: Path) -> Snapshot:
    """Read the snapshot at ``path``. Raises CheckpointError if it is missing or damaged."""
    if not path.is_file():
        raise CheckpointError(f"no training to resume at {path}: leave out --resume to start a new one")
    try:
        snapshot: Snapshot = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0][:120]
        raise CheckpointError(
            f"{path} is damaged or not a training checkpoint ({reason}): start again with --overwrite"
        ) from error
    if not isinstance(snapshot, dict) or not {"step", "model", "average", "optimizer"} <= snapshot.keys():
        raise CheckpointError(f"{path} is not a training checkpoint: give the folder of an earlier run of pem-train")
    return snapshot


def check_same(what: str, before: object, now: str | list[str]) -> None:
    """Refuse to resume a run that is not the one at hand.

    Args:
        what: What is compared, for the message.
        before: Its value in the snapshot.
        now: Its value in this run.

    Raises:
        TrainingError: If the values differ.
    """
    if before != now:
        raise TrainingError(
            f"the run to resume has other {what} ({_abbreviate(before)}) than this one ({_abbreviate(now)})"
        )


def _abbreviate(value: object) -> str:
    if not isinstance(value, list):
        return str(value)
    return f"{len(value)}: {', '.join(value[:3])}{', …' if len(value) > 3 else ''}"
