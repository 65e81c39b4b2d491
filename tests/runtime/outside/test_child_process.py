"""Processes that crash, hang or print without an end are ended, with what they started."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from pem_edge.runtime.outside import child_process


def test_what_a_process_printed_and_how_it_ended() -> None:
    ended = child_process.run(["sh", "-c", "echo out; echo first >&2; echo last >&2; exit 3"], 30.0)
    assert ended.reason == "exit code 3, last"
    assert ended == (3, "out\n", "first\nlast\n")


def test_signals_are_named() -> None:
    assert child_process.run(["sh", "-c", "kill -SEGV $$"], 30.0).reason == "crashed with signal 11 (SIGSEGV)"
    assert child_process.Ended(-34, "", "").reason.startswith("crashed with signal 34")


def test_of_an_endless_output_the_end_is_kept() -> None:
    ended = child_process.run(["sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' a; echo the end"], 30.0)
    assert ended.code == 0
    assert len(ended.output) == 1 << 20
    assert child_process.last_line(ended.output).endswith("the end")
    assert child_process.run(["yes"], 0.5).code is None


def test_what_a_process_started_ends_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    ended = child_process.run(["sh", "-c", f"sleep 1000 & echo $! > {note}; wait"], 1.0)
    assert ended.code is None
    assert ended.reason == "it did not end in time"
    pid = int(note.read_text())
    for _ in range(300):
        if not _is_running(pid):
            break
        time.sleep(0.1)
    assert not _is_running(pid)


def test_bytes_that_are_no_text() -> None:
    assert child_process.run(["printf", "\\377ok"], 30.0).output == "�ok"


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        child_process.run(["no-such-command"], 1.0)


def test_a_module_is_imported_as_this_process_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pem_edge_odd.py").write_text("import sys; print(sys.argv[1:], sys.path[0], __name__)")
    (tmp_path / "json.py").write_text("raise ImportError('not this one')")
    monkeypatch.chdir(tmp_path)
    others = [entry for entry in sys.path if entry not in ("", str(tmp_path))]
    monkeypatch.setattr(sys, "path", [*others, str(tmp_path)])
    argument = "a 'b'\n"
    ended = child_process.run_module("pem_edge_odd", argument, 30.0)
    assert ended.output == f"{[argument]} {others[0]} __main__\n", ended.errors


def _is_running(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"
