"""Weights that were read stay, whatever becomes of their file; a file that is written meanwhile is not believed."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pem_edge import pem
from pem_edge.pem import checkpoints
from pem_edge.pem.checkpoints.formats import read_file
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.files import sha256

SIZE = 1 << 20
"""Numbers in a tensor, whose pages are not all in the last one of a file that was cut short."""


def state() -> dict[str, Tensor]:
    return {
        "backbone.w": torch.ones(SIZE),
        "decoder.half": torch.ones(SIZE).half(),
        "decoder.n": torch.ones(SIZE).int(),
    }


def _pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"model": {name: each.numpy() for name, each in state().items()}}))


WRITERS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "archive": ("last.pth", lambda path: torch.save({"model": state()}, path)),
    "old": ("last.pth", lambda path: torch.save(state(), path, _use_new_zipfile_serialization=False)),
    "arrays": ("last.pkl", _pickle),
    "safetensors": ("last.safetensors", lambda path: save_file(state(), path)),
}
LATER = {
    "cut short": "os.truncate(path, 100)",
    "saved again": "save_file(state, path) if path.endswith('.safetensors') else torch.save(state, path)",
}


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("later", LATER)
def test_weights_that_were_read_survive_their_file(form: str, later: str, tmp_path: Path) -> None:
    """In a process of their own: touching a mapped file that was cut short ends it without a message."""
    name, write = WRITERS[form]
    write(tmp_path / name)
    script = f"""if True:
        import os, sys, torch
        from safetensors.torch import save_file
        from pem_edge.pem import checkpoints
        path = sys.argv[1]
        state = checkpoints.read(path, lambda _: None)
        {LATER[later]}
        print(*sorted(int(each.double().sum()) for each in state.values()))
        """
    done = subprocess.run([sys.executable, "-c", script, tmp_path / name], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, 3 * [str(SIZE)]), done.stderr


CHANGES: dict[str, Callable[[Path], object]] = {
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "of another time": lambda path: os.utime(path, (1, 1)),
    "gone": Path.unlink,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_while_it_is_read_is_refused(change: str, tmp_path: Path) -> None:
    path = tmp_path / "last.pth"

    def write(_note: str) -> None:  # that a step was left out, which is said while the file is read
        if path.exists():
            CHANGES[change](path)

    for read in (checkpoints.read, pem.load):
        torch.save({"step": torch.tensor(7), "model": dict(pem.load("demo").state_dict())}, path)
        with pytest.raises(CheckpointError) as caught:
            read(path, write)
        assert str(caught.value) == f"{path} changed while it was read: wait until it is written, and try again"


@pytest.mark.parametrize(
    ("written", "expected"), [(b"PK\x03\x04", "changed while it was read"), (b"", "is damaged or not a checkpoint")]
)
def test_half_a_file_is_called_damaged_only_if_nobody_writes_it(
    written: bytes, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.pth"
    path.write_bytes(b"PK")

    def read_while_it_is_written(path: Path) -> object:
        with path.open("ab") as file:
            file.write(written)
        return read_file(path)

    monkeypatch.setattr(checkpoints, "read_file", read_while_it_is_written)
    with pytest.raises(CheckpointError, match=expected):
        checkpoints.read(path)


def test_a_hash_is_that_of_what_was_read(tmp_path: Path) -> None:
    """A training that replaces its checkpoint after that was read does not become what an artifact was made of."""
    path, newer = tmp_path / "last.pth", tmp_path / "newer.pth"
    for each in (path, newer):
        torch.save(pem.build("pem-nano", 2).state_dict(), each)
    checkpoint = checkpoints.open_checkpoint(path)
    assert checkpoint.weights().sha256 == sha256(path)
    newer.replace(path)
    with pytest.raises(CheckpointError, match=r"last\.pth changed while it was read"):
        checkpoint.weights()
