"""Nothing half-written is left under its final name, and nothing is left beside it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from pem_edge.runtime import files
from pem_edge.runtime.errors import OutputError


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "out.txt"
    with files.write_atomically(target) as temporary:
        temporary.write_text("done")
        assert not target.exists()
        assert (temporary.parent, temporary.suffix) == (target.parent, ".txt")
    assert target.read_text() == "done"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_block_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "out.txt"
    target.write_text("old")

    def fail() -> None:
        with files.write_atomically(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with files.write_atomically(tmp_path / "out.txt") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(before)
    assert (tmp_path / "out.txt").stat().st_mode & 0o777 == 0o640


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write .*; choose another place with -o"):
        files.make_folder(tmp_path / "file" / "sub")
    with (
        pytest.raises(OutputError, match="cannot write"),
        files.write_atomically(tmp_path / "file" / "sub" / "out.txt"),
    ):
        pytest.fail("the block must not run")


@pytest.mark.parametrize("inside", ["", "deeper"])
def test_what_is_no_folder_is_said(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for place in (Path("/dev/full"), tmp_path / "file", tmp_path / "link"):
        with pytest.raises(OutputError) as caught:
            files.make_folder(place / inside, option="--save-errors")
        assert str(caught.value).startswith(f"cannot write {place / inside}: ")
        assert str(caught.value).endswith("; choose another place with --save-errors")
        assert inside or f"{place} is not a folder" in str(caught.value)


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out.txt").mkdir()
    with (
        pytest.raises(OutputError, match=r"cannot write .*out\.txt"),
        files.write_atomically(tmp_path / "out.txt") as temporary,
    ):
        temporary.write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]


def test_refuse_existing(tmp_path: Path) -> None:
    files.refuse_existing(tmp_path / "new")
    with pytest.raises(OutputError, match="exists already: add --overwrite"):
        files.refuse_existing(tmp_path)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_sha256_of_files_around_the_chunk_size(tmp_path: Path, size: int) -> None:
    data = bytes(i % 251 for i in range(size))
    (tmp_path / "data").write_bytes(data)
    assert files.sha256(tmp_path / "data") == hashlib.sha256(data).hexdigest()


def test_the_longest_names_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 125 + ".json")
    with files.write_atomically(path) as temporary:
        temporary.write_text("x")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(OutputError):
        files.make_folder(files.cache_folder())
