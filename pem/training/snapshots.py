"""Snapshots: files with the whole state of a run, from which it can be resumed as if it had never stopped.

They need no state of random generators and no position in the dataset, because both follow from the seed and the step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import torch
from torch import Tensor

from pem_edge.pem.checkpoints.formats.torch_files import read_torch_file
from pem_edge.pem.training.settings import SNAPSHOT, TrainingSettings
from pem_edge.runtime.errors import CheckpointError, OutputError, TrainingError
from pem_edge.runtime.files import require_space, write_atomically
from pem_edge.runtime.outside.reading import reading

FILE_NAME = SNAPSHOT

_LITTLE = 1 << 20
"""Bytes; a disk with fewer is taken to be full."""

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
            try:
                torch.save(snapshot, temporary)
            except RuntimeError:  # torch does not say that a disk is full
                require_space(path.parent, _LITTLE)
                raise
    except RuntimeError as error:
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


def continued(snapshot: Snapshot, path: Path, settings: TrainingSettings, given: Set[str]) -> TrainingSettings:
    """Return the settings with which the run whose snapshot is at ``path`` goes on: its own.

    Args:
        snapshot: The snapshot.
        path: Its file.
        settings: The settings of those names that are ``given``, and of those that the snapshot lacks.
        given: Names of the settings to change.

    Raises:
        CheckpointError: If the snapshot's settings are damaged.
        TrainingError: If a value is out of its range.
    """
    own = snapshot["settings"]
    changes = {name: value for name, value in asdict(settings).items() if name in given or name not in own}
    with restoring(path):
        return msgspec.convert({**own, **changes}, TrainingSettings)


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
            f"the run to resume has the {what} {_abbreviate(before)} instead of {_abbreviate(now)}: continue it as it "
            "was started, or start another one with -o DIR"
        )


def _abbreviate(value: object) -> str:
    if not isinstance(value, list):
        return str(value)
    return f"{len(value)}: {', '.join(value[:3])}{', …' if len(value) > 3 else ''}"
