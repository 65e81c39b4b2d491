from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pem_edge.runtime.errors import OutputError
from pem_edge.runtime.files.output_folder import for_outputs, newest_run


@pytest.fixture(autouse=True)
def current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(given: Path | None = None) -> Path:
    with for_outputs(given) as folder:
        (folder / "result").touch()
    return folder


def test_each_run_has_the_next_number() -> None:
    assert newest_run("result") is None
    assert [str(run()) for _ in range(3)] == ["runs/1", "runs/2", "runs/3"]
    Path("runs/9").touch()
    Path("runs/10").mkdir()
    assert newest_run("result") == Path("runs/3")


def test_numbers_go_on_after_the_last_one_whatever_else_is_there() -> None:
    for name in ("7", "notes", "9a", "٣"):
        Path("runs", name).mkdir(parents=True)
    assert run() == Path("runs/8")


def test_runs_that_start_together_have_different_folders() -> None:
    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(lambda _: run(), range(32)))) == 32


@pytest.mark.parametrize("given", [None, Path("a/b/c")])
def test_a_folder_that_stays_empty_is_removed_with_those_made_for_it(given: Path | None, current: Path) -> None:
    Path("a").mkdir()
    with pytest.raises(ZeroDivisionError), for_outputs(given) as folder:
        assert 1 / (not folder.is_dir())
    assert list(current.rglob("*")) == [current / "a"]


def test_an_empty_folder_of_the_user_stays() -> None:
    Path("mine").mkdir()
    with for_outputs(Path("mine")):
        pass
    assert Path("mine").is_dir()


def test_what_was_written_stays_after_a_failure() -> None:
    def fail() -> None:
        with for_outputs(None) as folder:
            (folder / "half").touch()
            (folder / "half" / "whole").read_bytes()

    with pytest.raises(OSError, match="half"):
        fail()
    assert Path("runs/1/half").exists()


def test_a_place_that_cannot_be_written_is_an_error_that_names_the_option(current: Path) -> None:
    (current / "runs").write_text("a file")
    message = r"cannot write runs: it is not a folder; choose another place with --out"
    with pytest.raises(OutputError, match=message), for_outputs(None, option="--out"):
        pass


@pytest.mark.parametrize("given", ["a" * 300, "a/" * 3000, "a/b/" + "c" * 300])
def test_a_place_whose_name_is_too_long_is_an_error_that_names_the_option(given: str, current: Path) -> None:
    with pytest.raises(OutputError, match="File name too long; choose another place with -o"), for_outputs(Path(given)):
        pass
    assert not list(current.iterdir())
