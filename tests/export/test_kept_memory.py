"""Memory that is freed serves the next tensor, and goes back to the system in the end."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from typing import TypedDict

import pytest

LARGE = 64 << 20  # bytes, more than what glibc keeps by itself
TENSORS = 20

# In a process of its own, as what earlier allocations left in the heap may serve these tensors, too.
MEASURE = f"""
import ctypes, json, resource
from pathlib import Path
import torch
from pem_edge.export.kept_memory import kept_memory

def page_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

def make_tensors():
    before = page_faults()
    for _ in range({TENSORS}):
        torch.ones({LARGE}, dtype=torch.uint8)
    return (page_faults() - before) * resource.getpagesize()

PR_SET_THP_DISABLE = 41  # prctl(2); every page has a fault of its own, also where the system makes huge ones of them
assert ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0
usual, before = make_tensors(), resident_bytes()
try:
    with kept_memory():
        kept, within = make_tensors(), resident_bytes()
        raise InterruptedError
except InterruptedError:
    after = resident_bytes()
print(json.dumps({{"usual": usual, "kept": kept, "within": within - before, "after": after - before}}))
"""

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these parameters")


class Measured(TypedDict):
    """The bytes of the pages that tensors took from the system, and what is resident more than before, in bytes."""

    usual: int
    kept: int
    within: int
    after: int


@pytest.fixture(scope="module")
def measured() -> Measured:
    ended = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True, timeout=120)
    found: Measured = json.loads(ended.stdout)
    return found


def test_most_tensors_take_the_memory_of_earlier_ones(measured: Measured) -> None:
    assert measured["usual"] > TENSORS / 2 * LARGE, "without it"
    assert measured["kept"] < TENSORS / 2 * LARGE


def test_it_is_returned_in_the_end_also_after_an_error(measured: Measured) -> None:
    assert measured["within"] > LARGE / 2
    assert measured["after"] < LARGE / 4
