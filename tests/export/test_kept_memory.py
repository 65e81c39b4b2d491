"""Memory that is freed serves the next tensor, and goes back to the system in the end."""

from __future__ import annotations

import ctypes
import platform
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pem_edge.export.kept_memory import kept_memory

LARGE = 64 << 20  # bytes, more than what glibc keeps by itself
TENSORS = 20
PR_SET_THP_DISABLE = 41  # prctl(2)

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these parameters")


@pytest.fixture
def small_pages() -> Iterator[None]:
    """Let every page have a fault of its own, also where the system makes huge ones of them."""
    libc = ctypes.CDLL(None)
    assert libc.prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0
    yield
    libc.prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0)


def make_tensors() -> int:
    """Make and free one tensor after the other; return the number of page faults."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(TENSORS):
        torch.ones(LARGE, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.usefixtures("small_pages")
def test_most_tensors_take_the_memory_of_earlier_ones() -> None:
    assert make_tensors() > TENSORS / 2 * LARGE / resource.getpagesize(), "without it"
    with kept_memory():
        assert make_tensors() < TENSORS / 2 * LARGE / resource.getpagesize()


def fail_with_tensors() -> None:
    with kept_memory():
        make_tensors()
        raise KeyboardInterrupt(resident_bytes())


def test_it_is_returned_in_the_end_also_after_an_error() -> None:
    before = resident_bytes()
    with pytest.raises(KeyboardInterrupt) as caught:
        fail_with_tensors()
    assert caught.value.args[0] > before + LARGE / 2
    assert resident_bytes() < before + LARGE / 4
