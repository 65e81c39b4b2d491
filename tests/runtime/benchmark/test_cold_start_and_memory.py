"""Cold starts and memory are measured in new processes that do nothing else, whose failures are one line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pem_edge.runtime.benchmark.measures import cold_start, fresh_process, memory
from pem_edge.runtime.errors import BackendError


@pytest.fixture
def task(tiny: Path, flag: NDArray[np.uint8], tmp_path: Path) -> fresh_process.Task:
    """Return the tiny model, and a picture for it."""
    picture = tmp_path / "flag.png"
    cv2.imwrite(str(picture), flag[..., ::-1])
    return fresh_process.Task(model=str(tiny), backend="onnxruntime", threads=1, picture=str(picture))


def test_a_cold_start_is_the_sum_of_its_parts(task: fresh_process.Task) -> None:
    start = cold_start.measure(task)
    assert min(start.imports, start.load, start.first) > 0
    assert start.total == pytest.approx(start.imports + start.load + start.first)


def test_memory_is_not_that_of_the_process_that_asks(task: fresh_process.Task) -> None:
    ballast = np.ones(600 << 20, np.uint8)  # resident here, and inherited by what getrusage says of a child
    assert (memory.peak_resident() or 0) > ballast.nbytes
    found = memory.measure(task).host
    assert found is not None
    assert 20 << 20 < found < 500 << 20


def test_failures_are_one_line(task: fresh_process.Task, tmp_path: Path) -> None:
    (tmp_path / "flag.png").unlink()
    with pytest.raises(BackendError, match=r"failed in a process of its own \(exit code 1, .*does not exist") as caught:
        cold_start.measure(task)
    assert "\n" not in str(caught.value)
