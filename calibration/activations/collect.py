"""Runs a model on images and collects statistics of its tensors."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from tqdm import tqdm

from pem_edge.calibration.activations.tensor_statistics import TensorStatistics
from pem_edge.calibration.graph.index import Graph, ending_at
from pem_edge.calibration.graph.running import session
from pem_edge.runtime.errors import CalibrationError
from pem_edge.runtime.machine import usable_cpus

BUDGET = 500_000_000
"""Maximum size in bytes of the tensors that one pass over the images computes: each pass runs most of the model."""


class Images(Sized, Iterable[NDArray[np.uint8]], Protocol):
    """Images to run a model on, uint8 (1, H, W, 3); each iteration reads them again."""


def collect(model: onnx.ModelProto, tensors: Sequence[str], images: Images) -> dict[str, TensorStatistics]:
    """Collect statistics of tensors over images. A progress bar goes to standard error.

    Args:
        model: The model to run.
        tensors: The names of the tensors, in the graph's order.
        images: The images to run the model on.

    Returns:
        The statistics of each tensor, by its key (see `Graph`).

    Raises:
        CalibrationError: If a tensor has a value that is not finite. The message names the first layer that computes
            one.
    """
    graph = Graph(model)
    found = {graph.key(tensor): TensorStatistics() for tensor in tensors}
    passes = list(_split_into_passes(graph, tensors))
    with (
        tqdm(total=len(passes) * len(images), desc="calibrating", unit="image", disable=None) as progress,
        ThreadPoolExecutor(usable_cpus()) as threads,  # NumPy and OpenCV count on one processor each
    ):
        for names in passes:
            keys = [graph.key(name) for name in names]
            for number, values in enumerate(run(model, names, images)):
                deque(threads.map(partial(_add, found, number), keys, values), maxlen=0)
                progress.update()
    return found


def run(
    model: onnx.ModelProto, tensors: Sequence[str], images: Iterable[NDArray[np.uint8]]
) -> Iterator[list[NDArray[np.float32]]]:
    """Run ``model`` in ONNX Runtime on the CPU; yield, for each image, the values of ``tensors``."""
    asks_for_outputs = set(tensors) == {output.name for output in model.graph.output}
    part = session(model if asks_for_outputs else ending_at(ir.from_proto(model), tensors))
    name = part.get_inputs()[0].name
    for image in images:
        yield part.run(list(tensors), {name: image})


def _split_into_passes(graph: Graph, tensors: Sequence[str]) -> Iterator[list[str]]:
    """Split ``tensors`` into groups of at most `BUDGET` bytes; a tensor that is larger forms a group of its own."""
    group: list[str] = []
    size = 0
    for tensor in tensors:
        needs = 4 * math.prod(side or 1 for side in graph.shape(tensor) or ())
        if group and size + needs > BUDGET:
            yield group
            group, size = [], 0
        group.append(tensor)
        size += needs
    if group:
        yield group


def _add(found: Mapping[str, TensorStatistics], number: int, key: str, values: NDArray[np.float32]) -> None:
    if not (np.isfinite(values.min(initial=0)) and np.isfinite(values.max(initial=0))):
        raise CalibrationError(
            f"layer {key} computes NaN or infinity on calibration image {number}: check the weights, train or export "
            "the model again"
        )
    found[key].add(values)
