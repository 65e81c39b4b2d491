"""Snapshots: files with the whole state of a run, from which it can be resumed as if it had never stopped.

They need no state of random generators and no position in the dataset, because both follow from the seed and the step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from pem_edge.pem.checkpoints.formats.torch_files import read_torch_file
from pem_edge.pem.training.settings import SNAPSHOT
from pem_edge.runtime.errors import CheckpointError, OutputError, TrainingError
from pem_edge.runtime.files import write_atomically
from pem_edge.runtime.outside.reading import reading

FILE_NAME = SNAPSHOT

_CURE = "start again with --overwrite"
_KINDS: dict[str, type] = {
    "step": int,
    "variant": str,
    "classes": list,
    "settings": dict,
    "model": Mapping,
    "average": Mapping,
    "optimizer": dict,
    "progress": dict,
}
"""The entries of a snapshot."""

NORMALIZATION = ("mean", "std")
"""Entries, which older snapshots lack, with the constants of the same names in the model's normalization."""

_LATER_KINDS: dict[str, type | tuple[type, ...]] = {"license": (str, type(None)), "mean": Tensor, "std": Tensor}
"""The entries that older snapshots lack."""

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
    snapshot = read_torch_file(path, cure=_CURE)
    if not isinstance(snapshot, dict) or not snapshot.keys() >= _KINDS.keys():
        raise CheckpointError(f"{path} is not a training checkpoint: give the folder of an earlier run of pem-train")
    for key, kind in (*_KINDS.items(), *_LATER_KINDS.items()):
        if key in snapshot and not isinstance(snapshot[key], kind):
            raise CheckpointError(f"{path} is damaged ({key} is a {type(snapshot[key]).__name__}): {_CURE}")
    return snapshot


@contextmanager
def restoring(path: Path) -> Iterator[None]:
    """Raise CheckpointError if the ``with`` block, which restores the state in ``path``, finds that it does not fit."""
    with reading(path, CheckpointError, expected="a checkpoint of this training", cure=_CURE):
        yield


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
