"""A short run of the fuzzing campaign finds no fault, and the campaign would see one."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pem_edge.runtime.errors import InputError
from scripts.campaign import fuzz
from scripts.campaign.worker import Worker


def test_no_reader_of_foreign_bytes_has_a_fault() -> None:
    report = fuzz.run(seed=1, inputs=1500, end=time.monotonic() + 120)
    assert report["faults"] == []
    assert report["inputs"] == 1500
    outcomes = report["outcomes"]
    assert isinstance(outcomes, dict)
    assert set(outcomes) == {"read", "refused"}


def refuse(_: Path) -> None:
    raise InputError("no")


class LongError(InputError):
    """An error that does not keep to one line."""

    def __str__(self) -> str:
        return "no\nand no again"


def refuse_at_length(_: Path) -> None:
    raise LongError


def stumble(_: Path) -> None:
    raise KeyError("x")


def crash(_: Path) -> None:
    ctypes.string_at(0)


def fill_memory(_: Path) -> object:
    return bytes(3 << 30)


def hang(_: Path) -> None:
    while True:
        pass


def run_code(_: Path) -> None:
    os.system("true")


def write_elsewhere(path: Path) -> None:
    path.parent.with_suffix(".elsewhere").write_text("x")


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (Path.read_bytes, "read"),
        (refuse, "refused"),
        (refuse_at_length, "several lines"),
        (stumble, "unexpected"),
        (crash, "crash"),
        (fill_memory, "memory"),
        (hang, "hang"),
        (run_code, "canary"),
        (write_elsewhere, "canary"),
    ],
)
def test_each_kind_of_fault_is_seen(read: Callable[[Path], object], kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "inputs"
    folder.mkdir()
    with Worker(read, folder / "input") as worker:
        assert [worker.try_input(b"x").kind for _ in range(2)] == [kind] * 2
