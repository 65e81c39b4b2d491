"""Files survive processes that are killed at any step, and processes that write the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pem_edge.runtime import files
from pem_edge.runtime.errors import OutputError

NAMES = ("model.onnx", "model.json", "model.layers.json")

KILLED_BEFORE_A_RENAME = """if True:
    import os, signal, sys
    from pathlib import Path
    from pem_edge.runtime import files
    left = int(sys.argv[2])
    def counting(event, _arguments):
        global left
        if event in ("os.rename", "os.remove"):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
    paths = [Path(sys.argv[1]) / name for name in sys.argv[3:]]
    sys.addaudithook(counting)
    with files.write_together(paths) as temporaries:
        for temporary in temporaries:
            temporary.write_text("new")
    """
"""A program that is killed before a certain rename or removal of a file."""


def write(folder: Path, step: int) -> int:
    return subprocess.run([sys.executable, "-c", KILLED_BEFORE_A_RENAME, folder, str(step), *NAMES]).returncode


def test_a_group_is_old_or_new_wherever_its_writer_is_killed(tmp_path: Path) -> None:
    found = set()
    step = 0
    while True:
        for name in NAMES:
            (tmp_path / name).write_text("old")
        code = write(tmp_path, step)
        files.settle(tmp_path / NAMES[0])
        found.add(contents := tuple((tmp_path / name).read_text() for name in NAMES))
        assert len(set(contents)) == 1, f"mixed after step {step}"
        if code == 0:
            break
        assert code == -signal.SIGKILL
        step += 1
    assert step > len(NAMES)
    assert found == {("old",) * 3, ("new",) * 3}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES), "the last writer cleaned up"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"a": 1}', '{"../x": "model.onnx"}', '{"x": "../model.onnx"}', "[" * 10**5]
)
def test_a_damaged_journal_changes_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("old")
    (tmp_path / ".model.commit").write_text(text)
    files.settle(tmp_path / "model.onnx")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"model.onnx": "old"}


def test_what_a_killed_process_left_goes_with_the_next(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from pem_edge.runtime import files\n"
        "with files.write_atomically(Path(sys.argv[1])) as path: path.write_text('half'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "out.txt"])
    assert [path.name for path in tmp_path.iterdir()] != []
    with files.write_atomically(tmp_path / "out.txt") as mine, files.write_atomically(tmp_path / "out.txt") as other:
        mine.write_text("mine")
        other.write_text("other")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"out.txt": "mine"}


def test_the_longest_names_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 125 + ".json")
    with files.write_atomically(path) as temporary:
        temporary.write_text("x")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_the_second_of_two_writers_is_told(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    with files.exclusively(path, "an export"):
        with (
            pytest.raises(OutputError, match=r"model\.json is being written by an export in another process"),
            files.exclusively(path, "an export"),
        ):
            pytest.fail("both write")
        with files.exclusively(tmp_path / "other.json", "an export"):
            pass
    with files.exclusively(path, "an export"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from pem_edge.runtime import files\n"
        "with files.exclusively(Path(sys.argv[1]), 'an export'): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "model.json"])
    with files.exclusively(tmp_path / "model.json", "an export"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(OutputError):
        files.make_folder(files.cache_folder())
    assert str(files.cache_folder()).startswith(os.devnull)
