"""Whenever a process is killed, an artifact is the old one or the new one, and the next process tidies up."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from pem_edge.runtime.artifacts import artifact, pairs
from pem_edge.runtime.artifacts.manifest import Manifest, Thresholds, manifest_path
from pem_edge.runtime.artifacts.sections import Engine, FileHash
from pem_edge.runtime.errors import ManifestError, OutputError
from pem_edge.runtime.files import sha256
from tests.helpers.processes import started

KILLED = """
import os, signal, sys
from pathlib import Path
from pem_edge.runtime.artifacts import pairs
from pem_edge.runtime.artifacts.manifest import parse_manifest

left = int(sys.argv[1])

def killing(owner, name):
    act = getattr(owner, name)
    def call(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return act(*arguments, **options)
    setattr(owner, name, call)

killing(Path, "replace")
killing(Path, "unlink")
killing(os, "fsync")
model, content, manifest = map(Path, sys.argv[2:5])
companions = {Path(path): lambda file: file.write_bytes(content.read_bytes()) for path in sys.argv[5:]}
pairs.write(
    model, lambda file: file.write_bytes(content.read_bytes()), parse_manifest(manifest.read_bytes(), "new"), companions
)
"""
"""Writes a pair, and kills itself before the given one of its renames, removals and flushes."""


def describe(score: float, *, engine: bool) -> Manifest:
    about = Engine(target="trt", version="1", gpu="none", compute_capabilities=(), source=FileHash("x.onnx", "0"))
    demo = artifact.read(artifact.DEMO).manifest
    return msgspec.structs.replace(demo, thresholds=Thresholds(score), engine=about if engine else None)


def content(score: float) -> bytes:
    """Return an ONNX model, another one for each score: its documentation differs."""
    return artifact.read(artifact.DEMO).model.read_bytes() + b"\x32\x03" + f"{score:.1f}".encode()


def write(model: Path, score: float, *companions: Path) -> None:
    pairs.write(
        model,
        lambda file: file.write_bytes(content(score)),
        describe(score, engine=model.suffix == ".engine"),
        {path: lambda file: file.write_bytes(content(score)) for path in companions},
    )


def write_until_killed(model: Path, score: float, moment: int, folder: Path, *companions: Path) -> bool:
    """Return whether the process was killed before it had written all."""
    new, described = folder / "new", folder / "described.json"
    new.write_bytes(content(score))
    described.write_bytes(describe(score, engine=model.suffix == ".engine").to_json())
    command = [sys.executable, "-c", KILLED, str(moment), *map(str, (model, new, described, *companions))]
    code = subprocess.run(command, check=False).returncode
    assert code in (0, -signal.SIGKILL)
    return code != 0


def score_of(model: Path) -> float:
    """Return the score that the manifest and the content agree on."""
    score = artifact.read(model).manifest.thresholds.score
    assert model.read_bytes() == content(score)
    return score


@pytest.mark.parametrize("suffix", [".onnx", ".engine"])
def test_killed_at_any_moment_it_is_the_old_artifact_or_the_new_one(tmp_path: Path, suffix: str) -> None:
    model = tmp_path / "out" / f"street{suffix}"
    companions = [model.with_suffix(".onnx"), model.with_suffix(".layers.json")] if suffix == ".engine" else []
    write(model, 0.1, *companions)
    moment, scores = 1, []
    while write_until_killed(model, 0.2, moment, tmp_path, *companions):
        scores.append(score_of(model))
        with pairs.claim(model):  # as the next export does
            pass
        assert score_of(model) == scores[-1]
        names = {path.name for path in model.parent.iterdir()}
        assert names == {model.name, "street.json", *(path.name for path in companions)}
        assert all(path.read_bytes() == content(scores[-1]) for path in companions)
        write(model, 0.1, *companions)
        moment += 1
    assert scores == sorted(scores), "one rename decides"
    assert set(scores) == {0.1, 0.2}
    assert score_of(model) == 0.2


def test_what_was_decided_is_read_where_nothing_can_be_written(tmp_path: Path) -> None:
    model = tmp_path / "out" / "street.engine"
    write(model, 0.1)
    moment = 1
    while write_until_killed(model, 0.2, moment, tmp_path) and score_of(model) == 0.1:
        moment += 1
    before = {path.name: path.read_bytes() for path in model.parent.iterdir()}
    assert ".street.json.new" in before
    assert score_of(model) == 0.2
    assert {path.name: path.read_bytes() for path in model.parent.iterdir()} == before


def test_a_waiting_manifest_of_another_model_counts_for_nothing(tmp_path: Path) -> None:
    model = tmp_path / "street.engine"
    write(model, 0.1)
    other = tmp_path / "other.engine"
    write(other, 0.2)
    shutil.copyfile(other.with_suffix(".json"), tmp_path / ".street.json.new")
    assert score_of(model) == 0.1
    model.write_bytes(b"edited")
    with pytest.raises(ManifestError, match="vouches for"):
        artifact.read(model)


def test_a_failed_replacement_leaves_the_old_artifact(tmp_path: Path) -> None:
    model = tmp_path / "street.onnx"
    write(model, 0.1)

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        pairs.write(model, fail, describe(0.2, engine=False))
    assert score_of(model) == 0.1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["street.json", "street.onnx"]


def test_an_onnx_beside_an_engine_leaves_the_manifest_to_it(tmp_path: Path) -> None:
    """Else the engine would be lost, if the next one is not built in the end."""
    engine, onnx = tmp_path / "street.engine", tmp_path / "street.onnx"
    write(engine, 0.1, onnx)
    write(onnx, 0.2)
    assert score_of(engine) == 0.1
    assert onnx.read_bytes() == content(0.2)
    assert artifact.read(onnx).manifest.engine is None


@pytest.mark.parametrize("early", [True, False])
def test_a_reader_during_a_replacement_gets_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, early: bool
) -> None:
    model = tmp_path / "street.onnx"
    write(model, 0.1)
    find = pairs.manifest_beside

    def find_meanwhile(model: Path) -> Path:
        monkeypatch.setattr(pairs, "manifest_beside", find)
        if early:
            write(model, 0.2)
        found = find(model)
        if not early:
            write(model, 0.2)
        return found

    monkeypatch.setattr(pairs, "manifest_beside", find_meanwhile)
    assert score_of(model) == 0.2


def test_a_reader_finds_the_manifest_that_waited_until_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "street.onnx"
    write(model, 0.1)
    monkeypatch.setattr(pairs, "manifest_beside", lambda model: model.with_name(".street.json.new"))
    assert score_of(model) == 0.1


def test_the_first_error_of_a_replacement_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "street.onnx"
    write(model, 0.1)
    settle = pairs.settle

    def fail(_: Path) -> None:
        monkeypatch.setattr(pairs, "settle", refuse)
        raise ZeroDivisionError

    def refuse(_: Path) -> None:
        raise OutputError("cannot write")

    with pytest.raises(ZeroDivisionError):
        pairs.write(model, fail, describe(0.2, engine=False))
    monkeypatch.setattr(pairs, "settle", settle)
    assert score_of(model) == 0.1


def test_an_engine_that_is_gone_keeps_no_manifest(tmp_path: Path) -> None:
    engine, onnx = tmp_path / "street.engine", tmp_path / "street.onnx"
    write(engine, 0.1)
    engine.unlink()
    write(onnx, 0.2)
    assert artifact.read(onnx).manifest.model == FileHash(onnx.name, sha256(onnx))


def test_a_second_writer_of_a_name_is_told(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from pem_edge.runtime.artifacts import pairs\n"
    code += "with pairs.claim(Path(sys.argv[1])): print('claimed', flush=True); sys.stdin.read()"
    engine = tmp_path / "street.engine"
    with started([sys.executable, "-c", code, str(engine)], stdin=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "claimed\n"
        with (
            pytest.raises(OutputError, match=r"another process is writing .*street: wait"),
            pairs.claim(manifest_path(engine).with_suffix(".onnx")),
        ):
            pytest.fail("the block must not run")
        with pairs.claim(tmp_path / "lane.engine"):
            first.kill()
    with pairs.claim(engine):
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []
