"""A short run of the fuzzing campaign finds no fault, and the campaign would see one."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pem_edge.runtime.errors import InputError
from scripts.campaign.worker import Worker
from tests.helpers.processes import started

ROOT = Path(__file__).parents[2]


def test_no_reader_of_foreign_bytes_has_a_fault() -> None:
    command = [sys.executable, "-m", "scripts.campaign.fuzz", "--seed", "1", "--inputs", "1500"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    report = json.loads(done.stdout)
    assert (done.returncode, report["faults"]) == (0, []), done.stderr
    assert report["inputs"] == 1500
    assert set(report["outcomes"]) == {"read", "refused"}


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


def evaluate(path: Path) -> None:
    eval(path.read_text().replace("x", "1"))


def make_elsewhere(path: Path) -> None:
    path.parent.with_suffix(".elsewhere").mkdir(exist_ok=True)


def move_elsewhere(path: Path) -> None:
    path.rename(path.parent.with_suffix(".moved"))


def link_elsewhere(path: Path) -> None:
    path.parent.with_suffix(".link").unlink(missing_ok=True)
    path.parent.with_suffix(".link").symlink_to(path)


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
        (evaluate, "canary"),
        (write_elsewhere, "canary"),
        (make_elsewhere, "canary"),
        (move_elsewhere, "canary"),
        (link_elsewhere, "canary"),
    ],
)
def test_each_kind_of_fault_is_seen(read: Callable[[Path], object], kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "inputs"
    folder.mkdir()
    with Worker(read, folder / "input") as worker:
        assert [worker.try_input(b"x").kind for _ in range(2)] == [kind] * 2


def test_a_worker_ends_with_whoever_asks_it(tmp_path: Path) -> None:
    """One that lived on would keep the pipes of a test run open, whose end is then waited for without end."""
    code = """if True:
        import os
        from pathlib import Path
        from scripts.campaign.worker import Worker
        os.mkdir("inputs")
        worker = Worker(Path.read_bytes, Path("inputs/input"))
        worker.try_input(b"x")
        print("read", flush=True)
        os._exit(0)
        """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with started([sys.executable, "-c", code], cwd=tmp_path, env=environment, text=False) as asking:
        assert asking.communicate(timeout=60)[0] == b"read\n"
