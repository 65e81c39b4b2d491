"""Statistics come back from disk as they were, and can be read by people."""

from __future__ import annotations

import io
import json
import resource
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pem_edge.calibration.activations import tensor_statistics as files
from pem_edge.calibration.activations.tensor_statistics import Statistics, TensorStatistics
from pem_edge.runtime.errors import CalibrationError


@pytest.fixture
def statistics() -> Statistics:
    random = np.random.default_rng(0)
    tensors = {}
    for key in ("backbone/Relu", "decoder/MatMul:1"):
        tensors[key] = TensorStatistics()
        for _ in range(3):
            tensors[key].add(random.normal(size=(1, 4, 5, 6)).astype(np.float32))
    return Statistics(tensors, model="a" * 64, images="b" * 64, count=3, size=(160, 192))


def test_what_is_saved_is_loaded(statistics: Statistics, tmp_path: Path) -> None:
    statistics.save(tmp_path / "new" / "statistics.npz")
    loaded = files.load(tmp_path / "new" / "statistics.npz")
    assert (loaded.model, loaded.images, loaded.count, loaded.size) == ("a" * 64, "b" * 64, 3, (160, 192))
    assert list(loaded.tensors) == list(statistics.tensors)
    for key, expected in statistics.tensors.items():
        found = loaded.tensors[key]
        assert np.array_equal(found.histogram.counts, expected.histogram.counts)
        assert (found.histogram.minimum, found.histogram.maximum) == (
            expected.histogram.minimum,
            expected.histogram.maximum,
        )
        assert found.histogram.reach == expected.histogram.reach
        assert np.array_equal(found.means, expected.means)


def test_means_are_those_of_the_channels_over_all_images() -> None:
    images = np.random.default_rng(1).normal(size=(5, 3, 4, 4)).astype(np.float32)
    tensor = TensorStatistics()
    for image in images:
        tensor.add(image[None])
    np.testing.assert_allclose(tensor.means, images.mean(axis=(0, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_a_damaged_file_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "s.npz").write_bytes(content)
    with pytest.raises(
        CalibrationError, match=r"s\.npz is damaged or not a file of calibration statistics .*: remove it.*$"
    ):
        files.load(tmp_path / "s.npz")


def test_a_file_cut_off_anywhere_is_one_line(statistics: Statistics, tmp_path: Path) -> None:
    statistics.save(tmp_path / "whole.npz")
    data = (tmp_path / "whole.npz").read_bytes()
    for share in (0.1, 0.5, 0.9, 0.99):
        (tmp_path / "cut.npz").write_bytes(data[: int(len(data) * share)])
        with pytest.raises(CalibrationError, match=r"^[^\n]*cut\.npz[^\n]*$"):
            files.load(tmp_path / "cut.npz")


def test_arrays_of_another_kind_are_one_line(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(CalibrationError, match="not a file of calibration statistics"):
        files.load(tmp_path / "other.npz")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        CalibrationError, match=r"cannot read .*none\.npz: No such file or directory; remove it and calibrate again"
    ):
        files.load(tmp_path / "none.npz")


def test_another_format_is_refused(statistics: Statistics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FORMAT", files.FORMAT + 1)
    statistics.save(tmp_path / "newer.npz")
    monkeypatch.undo()
    with pytest.raises(CalibrationError, match="has format 2, expected 1: calibrate again"):
        files.load(tmp_path / "newer.npz")


def test_the_table_has_a_line_for_each_tensor(statistics: Statistics) -> None:
    header, *lines = statistics.table().splitlines()
    assert all(method in header for method in ("max", "percentile", "entropy", "mse"))
    assert [line.split()[0] for line in lines] == list(statistics.tensors)
    minimum = statistics.tensors["backbone/Relu"].histogram.minimum
    assert f"{minimum:.4g}" in lines[0]


def lie(path: Path, name: str, content: bytes, compression: int = zipfile.ZIP_DEFLATED) -> None:
    """Replace an array in the archive."""
    with zipfile.ZipFile(path) as archive:
        arrays = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    arrays[f"{name}.npy"] = content
    with zipfile.ZipFile(path, "w", compression) as archive:
        for key, value in arrays.items():
            archive.writestr(key, value)


def array(values: NDArray[np.generic]) -> bytes:
    np.save(buffer := io.BytesIO(), values)
    return buffer.getvalue()


def header(**fields: object) -> bytes:
    full = {"format": 1, "model": "m", "images": "i", "count": 2, "size": [64, 96], "macs": {}, "keys": ["a"], **fields}
    return array(np.frombuffer(json.dumps(full).encode(), np.uint8))


LIES: dict[str, tuple[str, bytes]] = {
    "a shape of 4 GB": ("0.counts", array(np.zeros(8192, np.int64)).replace(b"(8192,)", b"(536870912,)")),
    "a zip bomb": ("0.sums", array(np.zeros(200_000_000))),
    "objects": ("0.sums", array(np.array([None], object))),
    "negative counts": ("0.counts", array(np.full(8192, -1, np.int64))),
    "few counts": ("0.counts", array(np.zeros(3, np.int64))),
    "no numbers": ("0.sums", array(np.full(3, np.nan))),
    "no reach": ("0.scalars", array(np.array([0.0, -1.0, 1.0, 3.0]))),
    "an infinite reach": ("0.scalars", array(np.array([np.inf, -1.0, 1.0, 3.0]))),
    "deep JSON": ("header", array(np.frombuffer(b"[" * 100_000, np.uint8))),
    "bad UTF-8": ("header", array(np.frombuffer(b'{"format": 1, "model": "\xff"}', np.uint8))),
    "no images": ("header", header(count=0)),
    "a size of text": ("header", header(size="64x96")),
    "keys without arrays": ("header", header(keys=[str(number) for number in range(10_000)])),
    "a key that is none": ("header", header(keys=[7])),
    "a number of 5000 digits": ("header", header().replace(b'"count": 2', b'"count": ' + b"2" * 5000)),
}


@contextmanager
def memory(limit: int) -> Iterator[None]:
    """Let this process take ``limit`` bytes more."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + limit, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.parametrize("kind", LIES)
def test_a_file_that_lies_is_one_line_and_takes_no_memory(kind: str, statistics: Statistics, tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    statistics.save(path)
    lie(path, *LIES[kind])
    with memory(1 << 30), pytest.raises(CalibrationError, match=r"^[^\n]*s\.npz[^\n]*$"):
        files.load(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_that_denies_its_size_takes_no_memory(compression: int, statistics: Statistics, tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    statistics.save(path)
    bomb = array(np.zeros(50_000_000))
    lie(path, "0.sums", bomb, compression)
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", len(bomb)), struct.pack("<I", 200)))
    del bomb
    with memory(256 << 20), pytest.raises(CalibrationError, match=r"^[^\n]*s\.npz[^\n]*$"):
        files.load(path)
