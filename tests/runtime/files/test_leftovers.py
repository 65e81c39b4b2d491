"""What killed processes left is removed by the next one, and what living ones still need is not."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pem_edge.runtime import files
from pem_edge.runtime.errors import OutputError
from pem_edge.runtime.files import locks
from tests.helpers.processes import started

HOLDING = """
import os, sys, time
from pathlib import Path
from pem_edge.runtime import files
with {block}:
    child, (running, started) = os.getpid(), os.pipe()
    if {forking} and (child := os.fork()) == 0:
        os.write(started, b".")
        time.sleep(60)
        os._exit(0)
    if {forking}:
        os.read(running, 1)
    print(child, flush=True)
    sys.stdin.read()
"""


@contextmanager
def holding(block: str, folder: Path, *, forking: bool = False) -> Iterator[int]:
    """Keep a process within a ``with`` block, in which it is killed at the end; yields its number, or its child's."""
    code = HOLDING.format(block=block, forking=forking)
    environment = {**os.environ, "TMPDIR": str(folder)}
    command = [sys.executable, "-c", code, str(folder / "out.txt")]
    with started(command, stdin=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())


OURS = f"{locks.PREFIX}0123456789abcdef"
"""A name as temporary files have them."""

WRITING = "files.write_atomically(Path(sys.argv[1])) as file, file.open('w')"


def left_behind(folder: Path) -> list[Path]:
    return list(folder.glob(f"{locks.PREFIX}*"))


@pytest.mark.parametrize("block", [WRITING, "files.claim(Path(sys.argv[1]))", "files.temporary_folder()"])
def test_what_a_killed_process_left_is_removed_and_not_before(
    tmp_path: Path, block: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # as the other process has it
    with holding(block, tmp_path):
        locks.remove_leftovers(tmp_path)
        assert len(left_behind(tmp_path)) == 1
    assert len(left_behind(tmp_path)) == 1
    locks.remove_leftovers(tmp_path)
    assert left_behind(tmp_path) == []


def test_whoever_writes_next_removes_it(tmp_path: Path) -> None:
    with holding(WRITING, tmp_path):
        pass
    with files.write_atomically(tmp_path / "other.txt") as temporary:
        temporary.write_text("done")
    assert [path.name for path in tmp_path.iterdir()] == ["other.txt"]


def test_whoever_needs_a_temporary_folder_next_removes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with holding("files.temporary_folder()", tmp_path):
        pass
    (left,) = left_behind(tmp_path)
    (left / "model.onnx").write_bytes(b"large")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with files.temporary_folder() as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("block", [WRITING, "files.claim(Path(sys.argv[1]))"])
def test_a_forked_process_that_lives_on_keeps_nothing(tmp_path: Path, block: str) -> None:
    """Such as a worker of a training that was killed."""
    with holding(block, tmp_path, forking=True) as child:
        pass
    try:
        locks.remove_leftovers(tmp_path)
        assert left_behind(tmp_path) == []
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_claim_is_free_as_soon_as_its_process_is_killed(tmp_path: Path) -> None:
    with holding("files.claim(Path(sys.argv[1]))", tmp_path):
        with pytest.raises(OutputError, match=r"another process is writing .*out\.txt: wait until"):
            files.claim(tmp_path / "out.txt").__enter__()
        with files.claim(tmp_path / "other.txt"):
            pass
    with files.claim(tmp_path / "out.txt"):
        assert len(left_behind(tmp_path)) == 1
    assert left_behind(tmp_path) == []


def test_a_lock_that_cannot_be_opened_for_writing_can_be_taken(tmp_path: Path) -> None:
    """Such as one of another user, which is in the way for good where only its owner may remove it."""
    with files.claim(tmp_path / "out.txt"):
        (lock,) = left_behind(tmp_path)
    lock.touch(0o444)
    with files.claim(tmp_path / "out.txt"):
        pass


def test_without_locks_files_are_written_and_nothing_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    (tmp_path / OURS).touch()
    with files.claim(tmp_path / "out.txt"), files.write_atomically(tmp_path / "out.txt", durable=True) as file:
        file.write_text("done")
    assert sorted(path.name for path in tmp_path.iterdir()) == [OURS, "out.txt"]


def test_links_and_other_files_are_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tmp_path / OURS).symlink_to(tmp_path / "precious")
    os.mkfifo(tmp_path / f"{OURS}.pipe")
    (tmp_path / ".street-abcdefgh.onnx").touch()
    before = sorted(tmp_path.rglob("*"))
    locks.remove_leftovers(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_merely_begins_like_a_leftover_stays(tmp_path: Path) -> None:
    for name in ("models", "notes.txt", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF.png"):
        (tmp_path / f"{locks.PREFIX}{name}").touch()
    (tmp_path / OURS).mkdir()  # folders are only made among the system's temporary files
    before = sorted(tmp_path.iterdir())
    with files.write_atomically(tmp_path / "out.txt") as file:
        file.touch()
    assert sorted(tmp_path.iterdir()) == [*before, tmp_path / "out.txt"]


def test_a_full_temporary_folder_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(OutputError, match=r"cannot create a temporary folder .*: free some space, or set TMPDIR"):
        files.temporary_folder().__enter__()


def test_a_promise_is_flushed_before_the_rename_and_the_folder_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    flush, replace = os.fsync, Path.replace

    def note_flush(descriptor: int) -> None:
        events.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")  # noqa: PTH112
        flush(descriptor)

    def note_rename(source: Path, target: Path) -> Path:
        events.append("rename")
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", note_flush)
    monkeypatch.setattr(Path, "replace", note_rename)
    for durable in (True, False):
        with files.write_atomically(tmp_path / "out.txt", durable=durable) as file:
            file.write_text("done")
    assert events == ["file", "rename", "folder", "rename"]
