"""Checkpoints made to crash, run code or fill the memory end in one line, and cheaply."""

from __future__ import annotations

import io
import json
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pem_edge import pem
from pem_edge.pem.checkpoints.formats.plain_pickles import read_pickle
from pem_edge.runtime.errors import CheckpointError
from reference.hostile.pickles import HOSTILE

MEMORY = 1 << 30
"""Bytes that reading a hostile file may take beyond what PyTorch itself takes."""


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_pickle_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "gift.pkl"
    path.write_bytes(HOSTILE[kind])
    refuse(path)


def test_hostile_pickles_cost_no_memory(tmp_path: Path) -> None:
    """All of them in one process, whose memory is limited."""
    for index, content in enumerate(HOSTILE.values()):
        (tmp_path / f"{index}.pkl").write_bytes(content)
    for name, make in UNBELIEVABLE.items():
        make(tmp_path / f"{name.replace(' ', '-')}.pth")
    script = """if True:
        import resource, sys
        from pathlib import Path
        from pem_edge import pem
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]),) * 2)
        for path in Path(sys.argv[1]).iterdir():
            try:
                pem.load(path)
            except pem.checkpoints.CheckpointError:
                continue
            sys.exit(f"{path.name} was loaded")
        """
    done = subprocess.run([sys.executable, "-c", script, tmp_path, str(MEMORY)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "f8", "i8", "u1", "?"])
def test_arrays_of_plain_numbers_come_back_as_they_were(protocol: int, dtype: str, tmp_path: Path) -> None:
    expected = {
        "grid": np.arange(12).reshape(3, 4).astype(dtype),
        "columns first": np.asfortranarray(np.arange(12).reshape(3, 4).astype(dtype)),
        "none": np.zeros((0, 3), dtype),
        "scalar": np.ones((), dtype),
    }
    path = tmp_path / "arrays.pkl"
    path.write_bytes(pickle.dumps({"model": expected, "number": np.float32(3)}, protocol=protocol))
    found = read_pickle(path)
    assert found["number"] == 3
    for name, values in expected.items():
        np.testing.assert_array_equal(found["model"][name], values)
        assert found["model"][name].dtype == np.dtype(dtype).newbyteorder("=")


def test_an_array_under_several_names_is_under_all_of_them(tmp_path: Path) -> None:
    array = np.arange(1000, dtype=np.float32)
    path = tmp_path / "arrays.pkl"
    path.write_bytes(pickle.dumps({"w": array, "model": {"b": array, "deep": {"c": array}}}))
    found = read_pickle(path)
    for each in (found["w"], found["model"]["b"], found["model"]["deep"]["c"]):
        np.testing.assert_array_equal(each, array)


def save(value: Any) -> Callable[[Path], None]:
    return lambda path: torch.save({"model": {"fine": torch.ones(2), "odd": value()}}, path)


def inflate(path: Path) -> None:
    torch.save({"w": torch.zeros(50_000_000)}, buffer := io.BytesIO())
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))


def claim_in_old_format(path: Path) -> None:
    """Write a tensor of 4 numbers as PyTorch did before 1.6, with a storage that claims 2 billion."""
    torch.save({"w": torch.arange(4.0)}, buffer := io.BytesIO(), _use_new_zipfile_serialization=False)
    content = buffer.getvalue()
    start = content.index(b"cpu")
    assert content[start + 5 : start + 7] == b"K\x04"  # the number of elements, after the name's place in the memo
    path.write_bytes(content[: start + 5] + b"J" + struct.pack("<i", 2_000_000_000) + content[start + 7 :])


def claim_before_an_archive(path: Path) -> None:
    """Write the same with an empty archive at its end, where zipfile looks for one."""
    claim_in_old_format(path)
    with zipfile.ZipFile(archive := io.BytesIO(), "w"):
        pass
    path.write_bytes(path.read_bytes() + archive.getvalue())


UNBELIEVABLE: dict[str, Callable[[Path], None]] = {
    "stride 0": save(lambda: torch.ones(1, dtype=torch.float16).expand(1 << 31)),
    "a sparse tensor": save(lambda: torch.eye(3).to_sparse()),
    "a compressed sparse tensor": save(lambda: torch.eye(3).to_sparse_csr()),
    "a tensor without values": save(lambda: torch.ones(3, device="meta")),
    "a quantized tensor": save(lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)),
    "complex numbers": save(lambda: torch.ones(3, dtype=torch.complex64)),
    "a zip bomb": inflate,
    "a storage of 8 GB": claim_in_old_format,
    "a storage of 8 GB before an archive": claim_before_an_archive,
}


@pytest.mark.filterwarnings("ignore")  # of PyTorch, about sparse and quantized tensors
@pytest.mark.parametrize("kind", UNBELIEVABLE)
def test_a_tensor_that_is_no_plain_array_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "gift.pth"
    UNBELIEVABLE[kind](path)
    message = refuse(path)
    assert "model.odd is" in message or "claims" in message


def test_dictionaries_referred_to_often_take_no_time(tmp_path: Path) -> None:
    shared: dict[str, Any] = {"w": torch.ones(2)}
    for _ in range(6):
        shared = {str(index): shared for index in range(100)}
    path = tmp_path / "gift.pth"
    torch.save(shared, path)
    refuse(path)


@pytest.mark.parametrize("suffix", [".pth", ".pkl", ".safetensors"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(suffix: str, value: float, tmp_path: Path) -> None:
    model = pem.build("pem-nano", num_classes=3)
    model.state_dict()["decoder.class_head.weight"][1, 2] = value
    path = tmp_path / f"diverged{suffix}"
    if suffix == ".pth":
        torch.save({"model": model.state_dict()}, path)
    elif suffix == ".pkl":
        path.write_bytes(pickle.dumps({"model": {name: each.numpy() for name, each in model.state_dict().items()}}))
    else:
        pem.save(model, path)
    assert "decoder.class_head.weight holds values that are not finite" in refuse(path)


def test_the_format_before_pytorch_1_6_loads(tmp_path: Path) -> None:
    model = pem.build("pem-nano", num_classes=3)
    path = tmp_path / "old.pth"
    torch.save({"model": model.state_dict()}, path, _use_new_zipfile_serialization=False)
    torch.testing.assert_close(dict(pem.load(path).state_dict()), dict(model.state_dict()), rtol=0, atol=0)


def refuse(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        pem.load(path)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("number", ["{}", "9" * 5000 + "{}"])
def test_layers_that_only_names_claim_are_not_built(number: str, tmp_path: Path) -> None:
    state = {f"decoder.layers.{number.format(index)}.x": torch.zeros(()) for index in range(5000)}
    torch.save(state, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match="has no class head or no queries"):
        pem.load(tmp_path / "model.pth")


def test_a_large_file_that_is_no_pickle_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # more than there is of memory; a hole takes nothing of the disk
    with pytest.raises(CheckpointError, match=r"begins with b'.x00', which no pickle does"):
        pem.load(path)


@pytest.mark.parametrize("shape", [[1] * 70, [1] * 100_000, [(1 << 63) - 1, 0]], ids=["70", "100000", "empty"])
def test_shapes_that_no_tensor_has_are_refused(shape: list[int], tmp_path: Path) -> None:
    numbers = bytes(0 if 0 in shape else 4)
    header = {"decoder.x": {"dtype": "F32", "shape": shape, "data_offsets": [0, len(numbers)]}}
    encoded = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(encoded)) + encoded + numbers)
    with pytest.raises(
        CheckpointError, match=rf"decoder\.x' is a tensor of {len(shape)} dimensions, .* expected weights"
    ):
        pem.load(tmp_path / "model.safetensors")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names that are not UTF-8")
def test_a_name_that_no_manifest_can_hold_is_refused(tmp_path: Path) -> None:
    path = Path(f"{tmp_path}/bad\udcff.pth")
    path.write_bytes(b"\x80\x02}.")
    with pytest.raises(CheckpointError, match="is not UTF-8, as a manifest's names are: give the file another"):
        pem.load(path)
