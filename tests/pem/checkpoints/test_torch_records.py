"""Weights load whatever a training tool saved beside them, without a line of that tool's code."""

from __future__ import annotations

import argparse
import collections
import datetime
import enum
import functools
import io
import pathlib
import pickle
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pem_edge.pem import checkpoints
from pem_edge.pem.checkpoints.formats import torch_records
from pem_edge.pem.checkpoints.formats.leaves import leaves
from pem_edge.pem.checkpoints.formats.torch_files import read_torch_file
from pem_edge.runtime.errors import CheckpointError
from reference.hostile import torch_files as hostile
from reference.hostile.pickles import data, named

HISTORY = "mmengine.logging.history_buffer"
FORMATS: dict[str, dict[str, Any]] = {
    "archive": {},
    "archive of protocol 4": {"pickle_protocol": 4},
    "old": {"_use_new_zipfile_serialization": False},
}


class _Tool:
    """Stands for the classes of a training tool, whose module is there only while the file is written."""


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType(HISTORY)

    def statistics(_: object) -> None:
        """Stand for a method, which old protocols pickle by calling ``getattr``."""

    statistics.__module__, statistics.__qualname__ = HISTORY, "HistoryBuffer.statistics"
    history = type("HistoryBuffer", (), {"__module__": HISTORY, "statistics": statistics})
    for name, kind in {"HistoryBuffer": history, "Kind": enum.Enum("Kind", "A B", module=HISTORY)}.items():
        setattr(module, name, kind)
    module.Config = type("Config", (dict,), {"__module__": HISTORY})  # type: ignore[attr-defined]  # made here
    for name in ("mmengine", "mmengine.logging", HISTORY):
        monkeypatch.setitem(sys.modules, name, module)
    return module


def history(tool: types.ModuleType) -> Any:
    found = tool.HistoryBuffer()
    found.history, found.count = np.arange(5.0), np.arange(5)
    found.statistics_methods = {"mean": tool.HistoryBuffer.statistics}
    return found


def beside(tool: types.ModuleType) -> dict[str, Any]:
    """Return what the usual tools save beside the weights."""
    return {
        "message_hub": {"log_scalars": {"train/loss": history(tool)}},
        "hyper_parameters": tool.Config(lr=np.float64(1e-4), kinds=[tool.Kind.A], data=pathlib.PurePosixPath("/data")),
        "args": argparse.Namespace(lr=1e-4, when=datetime.datetime(2026, 1, 1), make=functools.partial(int, base=2)),
        "trainer": {"storage": collections.deque([1.0, 2.0], maxlen=20), "by_kind": {(1, 2): {3}, tool.Kind.B: None}},
        "callbacks": {tool.HistoryBuffer: {"best": torch.tensor(0.5)}, "names": collections.defaultdict(list, a=[1])},
        "random": {"numpy": np.random.default_rng(0), "old": np.random.RandomState(0).get_state()},
        "versions": {"torch": torch.__version__, "dtype": torch.float32, "device": torch.device("cpu")},
        "objects": np.array([{"a": 1}, None]),
    }


def state() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(6, 4, generator=generator)
    return {
        "backbone.stem.conv.weight": shared,
        "backbone.tied": shared,
        "backbone.rows": shared[1:3],
        "backbone.columns": shared.T,
        "backbone.counter": torch.tensor(7),
        "decoder.half": torch.randn(3, generator=generator).half(),
        "decoder.brain": torch.randn(3, generator=generator).bfloat16(),
        "decoder.parameter": nn.Parameter(torch.randn(2, 0, 3)),
        "decoder.learned": nn.Parameter(torch.randn(5, generator=generator)),
        "decoder.flags": torch.tensor([True, False]),
    }


def single(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: each.detach().float() if each.is_floating_point() else each for key, each in tensors.items()}


@pytest.mark.parametrize("form", FORMATS)
def test_weights_load_whatever_objects_are_beside_them(form: str, tool: types.ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "iter_9.pth"
    document = {**beside(tool), "state_dict": collections.OrderedDict(state())}
    torch.save(document, path, **FORMATS[form])
    sys.modules.pop(HISTORY)
    said: list[str] = []
    found = checkpoints.read(path, said.append)
    torch.testing.assert_close(found, single(state()), rtol=0, atol=0)
    (objects,) = (each for each in said if "objects" in each)
    assert objects.startswith("left out objects of ")
    assert f"{HISTORY}.HistoryBuffer" in objects
    assert objects.endswith(", which are not weights")


@pytest.mark.parametrize(
    "key", ["message_hub", "hyper_parameters", "args", "trainer", "callbacks", "random", "versions", "objects"]
)
def test_each_object_alone_does_no_harm(key: str, tool: types.ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({"model": state(), key: beside(tool)[key]}, path)
    torch.testing.assert_close(checkpoints.read(path, lambda _: None), single(state()), rtol=0, atol=0)


def test_a_class_of_the_users_own_script_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({"model": state(), "config": _Tool()}, path)
    said: list[str] = []
    checkpoints.read(path, said.append)
    assert said == [f"left out objects of {_Tool.__module__}._Tool, which are not weights"]


def test_arrays_in_place_of_tensors_load(tmp_path: Path) -> None:
    path = tmp_path / "arrays.pth"
    torch.save({"model": {"backbone.w": np.arange(4.0), "decoder.b": np.ones(2, np.float32)}}, path)
    found = checkpoints.read(path, lambda _: None)
    torch.testing.assert_close(found["backbone.w"], torch.arange(4.0))


@pytest.mark.parametrize("wrap", [lambda model: model, lambda model: {"model": model, "ema": None, "epoch": 3}])
def test_a_whole_model_is_named_and_the_cure_said(wrap: Any, tmp_path: Path) -> None:
    path = tmp_path / "whole.pt"
    torch.save(wrap(nn.Sequential(nn.Linear(2, 2))), path)
    with pytest.raises(
        CheckpointError, match=r"whole\.pt holds a whole model, an object of torch\.nn\.modules\."
    ) as caught:
        checkpoints.read(path)
    assert str(caught.value).endswith("save torch.save({'model': model.state_dict()}, path)")


@pytest.mark.parametrize("form", FORMATS)
def test_records_hold_the_same_tensors_as_pytorchs_loader_reads(form: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({"model": state(), "list": [torch.arange(3)]}, path, **FORMATS[form])
    expected, found = torch.load(path, weights_only=form != "archive of protocol 4"), torch_records.read(path)
    assert found["model"].keys() == expected["model"].keys()
    for name, tensor in expected["model"].items():
        torch.testing.assert_close(found["model"][name], tensor.detach(), rtol=0, atol=0)
        assert found["model"][name].stride() == tensor.stride()
    assert found["model"]["backbone.tied"].data_ptr() == found["model"]["backbone.stem.conv.weight"].data_ptr()
    torch.testing.assert_close(found["list"], expected["list"])


def _dump(document: object, path: Path, protocol: int = 4) -> None:
    path.write_bytes(pickle.dumps(document, protocol))


WRITERS: dict[str, Callable[[Any, Path], None]] = {
    **{form: functools.partial(torch.save, **options) for form, options in FORMATS.items()},
    **{
        f"old, of protocol {number}": functools.partial(
            torch.save, _use_new_zipfile_serialization=False, pickle_protocol=number
        )
        for number in (1, 3, 4, 5)
    },
    **{f"pickle of protocol {protocol}": functools.partial(_dump, protocol=protocol) for protocol in range(2, 6)},
}


@pytest.mark.parametrize("suffix", [".pkl", ".pth", ".bin", ".tar"])
@pytest.mark.parametrize("writer", WRITERS)
def test_files_are_told_by_their_first_bytes(writer: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    WRITERS[writer]({"model": state(), "__author__": "third_party", "matching_heuristics": True}, path)
    torch.testing.assert_close(checkpoints.read(path, lambda _: None), single(state()), rtol=0, atol=0)


def test_arrays_that_were_pickled_load_under_any_suffix(tmp_path: Path) -> None:
    _dump({"model": {"backbone.w": np.arange(4.0)}}, path := tmp_path / "arrays.pth")
    torch.testing.assert_close(checkpoints.read(path), {"backbone.w": torch.arange(4.0)})


def test_a_tar_archive_is_named_and_the_cure_said(tmp_path: Path) -> None:
    with tarfile.open(path := tmp_path / "model.pth.tar", "w") as file:
        file.addfile(tarfile.TarInfo("storages"))
    with pytest.raises(CheckpointError, match=r"model\.pth\.tar is a tar archive, .*: .* torch\.save what torch\.load"):
        checkpoints.read(path)


EIGHTHS = [each for name, each in vars(torch).items() if name.startswith("float8_")]


@pytest.mark.parametrize("dtype", EIGHTHS, ids=str)
@pytest.mark.parametrize("writer", WRITERS)
def test_weights_of_eight_bits_load(dtype: torch.dtype, writer: str, tmp_path: Path) -> None:
    path, weights = tmp_path / "model.pth", torch.tensor([0.5, 1, 2]).to(dtype)
    WRITERS[writer]({"model": {"backbone.w": weights, "decoder.b": torch.ones(2)}}, path)
    expected = {"backbone.w": torch.tensor([0.5, 1, 2]), "decoder.b": torch.ones(2)}
    torch.testing.assert_close(checkpoints.read(path, lambda _: None), expected, rtol=0, atol=0)


@pytest.mark.parametrize("writer", WRITERS)
def test_weights_of_a_type_that_is_no_number_are_named(writer: str, tmp_path: Path) -> None:
    path, weights = tmp_path / "model.pth", torch.zeros(2, dtype=torch.uint8).view(torch.bits8)
    WRITERS[writer]({"model": {"backbone.w": weights, "decoder.b": torch.ones(2)}}, path)
    with pytest.raises(
        CheckpointError, match=r"model\.pth: model\.backbone\.w is a tensor of type bits8, expected dense"
    ):
        checkpoints.read(path)


def test_a_compressed_archive_loads(tmp_path: Path) -> None:
    torch.save({"config": _Tool(), "model": state()}, buffer := io.BytesIO())
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    torch.testing.assert_close(checkpoints.read(path, lambda _: None), single(state()), rtol=0, atol=0)


@pytest.mark.parametrize("kind", hostile.HOSTILE)
def test_what_was_made_to_break_the_reader_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "gift.pth"
    path.write_bytes(hostile.HOSTILE[kind])
    with pytest.raises(CheckpointError) as caught:
        checkpoints.read(path, lambda _: None)
    assert "gift.pth" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", hostile.DUMPED)
@pytest.mark.parametrize("suffix", [".pkl", ".pth"])
def test_what_pickle_dump_wrote_to_break_the_reader_is_refused(kind: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"gift{suffix}"
    path.write_bytes(hostile.DUMPED[kind])
    with pytest.raises(CheckpointError) as caught:
        checkpoints.read(path, lambda _: None)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_entry_that_claims_less_than_it_holds_is_not_decompressed_whole(tmp_path: Path) -> None:
    size = 1 << 26
    weights = hostile.document(w=hostile.tensor(hostile.storage()))
    content = hostile.archive(weights, {"0": bytes(size)}, zipfile.ZIP_DEFLATED)
    path = tmp_path / "gift.pth"
    path.write_bytes(content.replace(struct.pack("<I", size), struct.pack("<I", len(hostile.NUMBERS))))
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match="CRC"):
            checkpoints.read(path, lambda _: None)
        assert tracemalloc.get_traced_memory()[1] < size // 4
    finally:
        tracemalloc.stop()


def test_the_names_of_many_values_take_little_memory() -> None:
    document = {"x" * 150: [None] * 50_000}
    tracemalloc.start()
    try:
        names = {len(name) for name, _ in leaves(document)}
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert names == {152, 153, 154, 155, 156}


def test_a_file_like_the_hostile_ones_without_their_fault_loads(tmp_path: Path) -> None:
    path = tmp_path / "fine.pth"
    path.write_bytes(hostile.odd(hostile.tensor(hostile.storage())))
    torch.testing.assert_close(checkpoints.read(path, lambda _: None), {"w": torch.tensor([1.0, 2, 3, 4])})
    path.write_bytes(hostile.dumped(hostile.loaded(data(hostile.saved(hostile.storage())))))
    torch.testing.assert_close(checkpoints.read(path, lambda _: None), {"w": torch.tensor([1.0, 2, 3, 4])})


@pytest.mark.parametrize("name", hostile.SUSPECTS)
def test_what_no_checkpoint_has_a_reason_to_mention_is_refused(name: str, tmp_path: Path) -> None:
    module, _, function = name.rpartition(":" if ":" in name else ".")
    path = tmp_path / "gift.pth"
    weights = hostile.tensor(hostile.storage())
    for content in (named(module, function), named(module, function) + b"0N"):  # kept, and dropped
        path.write_bytes(hostile.archive(hostile.document(w=weights, x=content)))
        with pytest.raises(CheckpointError, match=r"asks to run .*, which tensors do not need: it was not loaded"):
            checkpoints.read(path, lambda _: None)


def test_snapshots_hold_tensors_alone(tmp_path: Path) -> None:
    """What pem-train resumes from is read as before: with objects of other classes it is not its own."""
    path = tmp_path / "checkpoint.pth"
    torch.save({"model": state(), "config": _Tool()}, path)
    with pytest.raises(CheckpointError, match=r"asks to run .*_Tool, which tensors do not need"):
        read_torch_file(path)


def test_what_is_beside_the_weights_takes_no_memory(tmp_path: Path) -> None:
    """A file of 100 MB, whose weights are 4 kB, is read with less."""
    path = tmp_path / "training.pth"
    optimizer = {"state": {0: {"exp_avg": torch.zeros(25_000_000)}}}
    torch.save({"config": _Tool(), "model": {"backbone.w": torch.ones(1000)}, "optimizer": optimizer}, path)
    script = """if True:
        import resource, sys
        from pathlib import Path
        from pem_edge.pem.checkpoints.formats import torch_records
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        torch_records.read(Path(sys.argv[1]))["model"]["backbone.w"].sum()
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
        """
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 50


def test_a_tensor_whose_signs_are_beside_it_is_refused(tmp_path: Path) -> None:
    """As of the imaginary part of a conjugate: its numbers are stored as they were before."""
    negative = torch.complex(torch.zeros(3), torch.tensor([1.0, 2, 3])).conj().imag
    torch.save({"decoder.a.w": negative, "backbone.b.w": torch.ones(1)}, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=r"decoder\.a\.w is a tensor whose signs are beside it"):
        checkpoints.read(tmp_path / "model.pth")
