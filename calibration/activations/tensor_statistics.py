"""Statistics of a model's tensors, and the file format that stores them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from pem_edge.calibration.activations.array_archive import ArrayArchive
from pem_edge.calibration.activations.histograms import BINS, Histogram
from pem_edge.calibration.activations.ranges import METHODS, find
from pem_edge.runtime.errors import CalibrationError
from pem_edge.runtime.files import write_atomically
from pem_edge.runtime.outside.reading import reading

FORMAT = 1
"""Version of the file format."""


@dataclass
class TensorStatistics:
    """Statistics of one tensor over all images.

    Attributes:
        histogram: The histogram of its values.
        sums: The sum of the values of each channel, float64 (C,); empty unless the tensor is (N, C, H, W).
        count: The number of values in each channel.
    """

    histogram: Histogram = field(default_factory=Histogram)
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    count: int = 0

    @property
    def means(self) -> NDArray[np.float64]:
        """The mean of each channel, float64 (C,); empty unless the tensor is (N, C, H, W)."""
        return self.sums / max(self.count, 1)

    def add(self, values: NDArray[np.float32]) -> None:
        """Add the values that the tensor has for one image. All values must be finite."""
        self.histogram.add(values)
        if values.ndim == 4:
            sums = values.sum(axis=(0, 2, 3), dtype=np.float64)
            self.sums = self.sums + sums if self.sums.size else sums
            self.count += values.shape[0] * values.shape[2] * values.shape[3]


@dataclass(frozen=True)
class Statistics:
    """Statistics of a model's tensors over a set of calibration images.

    Attributes:
        tensors: The statistics of each tensor by its key (see `Graph`), in the graph's order.
        model: The SHA-256 of the graph, in hexadecimal.
        images: The SHA-256 of the calibration images after fitting to the model's input, in hexadecimal.
        count: The number of images.
        size: The height and width of the model's input.
        macs: The number of multiply-accumulates of each node for one image, by the node's name.
    """

    tensors: Mapping[str, TensorStatistics]
    model: str
    images: str
    count: int
    size: tuple[int, int]
    macs: Mapping[str, int] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the statistics to ``path`` as an ``.npz`` archive. Raises OutputError if that fails."""
        keys = list(self.tensors)
        header = {
            "format": FORMAT,
            "model": self.model,
            "images": self.images,
            "count": self.count,
            "size": self.size,
            "macs": dict(self.macs),
            "keys": keys,
        }
        arrays: dict[str, NDArray[np.generic]] = {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)}
        for number, key in enumerate(keys):
            arrays.update(_to_arrays(str(number), self.tensors[key]))
        with write_atomically(path, durable=True, option="--calib-cache") as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    def table(self) -> str:
        """Format a table of each tensor's minimum, maximum, and asymmetric range by each method."""
        width = max((len(key) for key in self.tensors), default=0)
        lines = [f"{'tensor':<{width}}  {'minimum':>10}  {'maximum':>10}" + "".join(f"  {m:>20}" for m in METHODS)]
        for key, tensor in self.tensors.items():
            histogram = tensor.histogram
            ranges = (find(histogram, method, symmetric=False) for method in METHODS)
            columns = "".join(f"  {f'{low:.4g} .. {high:.4g}':>20}" for low, high in ranges)
            lines.append(f"{key:<{width}}  {histogram.minimum:>10.4g}  {histogram.maximum:>10.4g}{columns}")
        return "\n".join(lines)


def load(path: Path) -> Statistics:
    """Read a file that `Statistics.save` wrote.

    Raises:
        CalibrationError: If the file is missing or damaged, or has another format.
    """
    cure = "remove it and calibrate again"
    with reading(path, CalibrationError, expected="a file of calibration statistics", cure=cure):
        with ArrayArchive(path) as archive:
            header = msgspec.json.decode(archive.read("header", np.uint8).tobytes(), type=_Header)
            if header.format != FORMAT:
                raise CalibrationError(f"{path} has format {header.format}, expected {FORMAT}: calibrate again")
            tensors = {key: _from_arrays(archive, str(number)) for number, key in enumerate(header.keys)}
        return Statistics(tensors, header.model, header.images, header.count, header.size, header.macs)


class _Header(msgspec.Struct):
    format: int
    model: str
    images: str
    count: Annotated[int, msgspec.Meta(ge=1)]
    size: tuple[int, int]
    macs: dict[str, Annotated[int, msgspec.Meta(ge=0)]]
    keys: list[str]


def _to_arrays(number: str, tensor: TensorStatistics) -> dict[str, NDArray[np.generic]]:
    histogram = tensor.histogram
    scalars = np.array([histogram.reach, histogram.minimum, histogram.maximum, tensor.count], np.float64)
    return {f"{number}.counts": histogram.counts, f"{number}.scalars": scalars, f"{number}.sums": tensor.sums}


def _from_arrays(archive: ArrayArchive, number: str) -> TensorStatistics:
    """Return the statistics of a tensor. Raises ValueError if they cannot be those of any values."""
    histogram = Histogram()
    reach, minimum, maximum, count = archive.read(f"{number}.scalars", np.float64, 4).tolist()
    histogram.reach, histogram.minimum, histogram.maximum = reach, minimum, maximum
    histogram.counts = archive.read(f"{number}.counts", np.int64, 2 * BINS).astype(np.int64)
    sums = archive.read(f"{number}.sums", np.float64).astype(np.float64)
    whole = np.isfinite(sums).all() and math.isfinite(reach) and math.isfinite(count) and count >= 0
    if not (whole and reach > 0 and histogram.counts.min() >= 0 and -reach <= minimum <= maximum <= reach):
        raise ValueError(f"tensor {number} has values that no histogram has")
    return TensorStatistics(histogram, sums, int(count))
