"""Snapshots: files with the whole state of a run, from which it can be resumed as if it had never stopped.

They need no state of random generators and no position in the dataset, because both follow from the seed and the step.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import torch
from torch import Tensor

from pem_edge.pem.checkpoints.formats.torch_files import read_torch_file
from pem_edge.pem.training.settings import MAX_STEPS, SNAPSHOT, TrainingSettings
from pem_edge.runtime.errors import CheckpointError, OutputError, TrainingError
from pem_edge.runtime.files import write_atomically
from pem_edge.runtime.outside.reading import reading
from pem_edge.runtime.plurals import first_few
from pem_edge.runtime.progress import Say

FILE_NAME = SNAPSHOT

_FULL_BELOW = 1 << 20
"""Free bytes below which a disk is taken to be full."""

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

_LATER_KINDS: dict[str, type | tuple[type, ...]] = {
    "license": (str, type(None)),
    "mean": Tensor,
    "std": Tensor,
    "validation": (dict, type(None)),
}
"""The entries that older snapshots lack."""

Snapshot: TypeAlias = dict[str, Any]  # tensors, state dicts, numbers and text


def save(snapshot: Snapshot, path: Path) -> None:
    """Write ``snapshot`` to ``path``, replacing an earlier one once it is complete. Raises OutputError."""
    with write_atomically(path, durable=True) as temporary:
        try:
            torch.save(snapshot, temporary)
        except RuntimeError as error:
            text = str(error).splitlines()[0]
            full = shutil.disk_usage(path.parent).free < _FULL_BELOW  # which torch does not say
            limited = "unexpected pos" in text  # what torch says when fewer bytes are written than it asked for
            cut = "a quota or a limit on the size of files is reached, raise it" if limited else text[:120]
            reason = "the disk is full, free some space" if full else cut
            kept = "; the previous checkpoint was kept" if path.exists() else ""
            raise OutputError(f"cannot write {path}: {reason}{kept}") from error


def load(path: Path) -> Snapshot:
    """Read the snapshot at ``path``. Raises CheckpointError if it is missing or damaged."""
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder, expected the file of a run: move it away, and start a new run")
    if not path.is_file():
        raise CheckpointError(f"no training to resume at {path}: leave out --resume to start a new one")
    snapshot = read_torch_file(path, cure=_CURE)
    if not isinstance(snapshot, dict) or not snapshot.keys() >= _KINDS.keys():
        raise CheckpointError(f"{path} is not a training checkpoint: give the folder of an earlier run of pem-train")
    for key, kind in (*_KINDS.items(), *_LATER_KINDS.items()):
        if key in snapshot and not isinstance(snapshot[key], kind):
            raise CheckpointError(f"{path} is damaged ({key} is a {type(snapshot[key]).__name__}): {_CURE}")
    faults = {
        "the step is no number of steps": type(snapshot["step"]) is not int or not 0 <= snapshot["step"] <= MAX_STEPS,
        "the classes are no names": not all(isinstance(name, str) for name in snapshot["classes"]),
        "there are no settings": not snapshot["settings"],
    }
    for fault, found in faults.items():
        if found:
            raise CheckpointError(f"{path} is damaged ({fault}): {_CURE}")
    return snapshot


def continued(snapshot: Snapshot, path: Path, given: Mapping[str, object], say: Say) -> TrainingSettings:
    """Return the settings with which the run whose snapshot is at ``path`` goes on: its own.

    Args:
        snapshot: The snapshot.
        path: Its file.
        given: The settings to change, by name.
        say: Told of settings that a newer version knows, and this one does not.

    Raises:
        CheckpointError: If the snapshot's settings are damaged.
        TrainingError: If a setting is out of its range.
    """
    own = snapshot["settings"]
    try:
        with restoring(path):
            kept = msgspec.convert(own, TrainingSettings)
            strangers = sorted(own.keys() - {each.name for each in fields(TrainingSettings)})
    except TrainingError as error:
        raise CheckpointError(f"{path} is damaged ({error}): {_CURE}") from error
    if strangers:
        say(f"the run to resume has settings of a newer version, which are left out: {first_few(strangers)}")
    return replace(kept, **given)  # type: ignore[arg-type]  # the settings check them


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
