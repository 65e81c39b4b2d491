"""A loaded model lives on in processes that are forked from the one that loaded it: they neither hang nor crash."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

FORKED = """
import os, sys, threading, warnings
import numpy as np
import numpy.testing  # now, as an import that another thread has begun never ends in a forked process
import pem_edge
warnings.simplefilter("ignore")  # Python warns of forks with threads, which is what this is about

image = np.random.default_rng(0).integers(0, 256, (512, 1024, 3), np.uint8)
segmenter = pem_edge.load("demo", sys.argv[1], threads=2)
expected = segmenter(image).panoptic

def fork(work):
    if not (child := os.fork()):
        work()
        sys.exit(0)  # which frees all that is left
    assert os.waitpid(child, 0)[1] == 0

def use():
    np.testing.assert_array_equal(segmenter(image).panoptic, expected)
"""
"""Begins programs that fork; each part of them is timed out by the test."""

WORK = {
    "using it": "fork(use)",
    "using it in threads": """
def threads():
    all_of_them = [threading.Thread(target=use) for _ in range(3)]
    [each.start() for each in all_of_them]
    [each.join() for each in all_of_them]
fork(threads)
""",
    "streaming": "fork(lambda: [each.panoptic for each in segmenter.stream([image] * 3)])",
    "streaming many": """
stream = lambda: [np.testing.assert_array_equal(each.panoptic, expected) for each in segmenter.stream([image] * 32)]
stream()
fork(stream)
fork(lambda: (stream(), segmenter.close()))
""",
    "going on with a stream": """
stream = segmenter.stream([image] * 34)
next(stream)

def go_on():
    try:
        next(stream)
    except pem_edge.PemError as error:
        assert str(error).endswith(": make a new stream here"), error
        assert list(stream) == []
    else:
        raise AssertionError("there are no threads that could give a result")
    assert len(list(segmenter.stream([image] * 2))) == 2

fork(go_on)
fork(stream.close)
fork(lambda: globals().pop('stream'))
assert len(list(stream)) == 33
""",
    "a stream that was not begun": """
stream = segmenter.stream([image] * 34)
fork(lambda: [next(stream), stream.close()])
assert len(list(stream)) == 34
""",
    "leaving it alone": "fork(lambda: None)",
    "closing it": "fork(segmenter.close)",
    "freeing it": "fork(lambda: globals().pop('segmenter'))",
    "loading another one": "fork(lambda: pem_edge.load('demo', sys.argv[1])(image))",
    "forking again": "fork(lambda: fork(use)); fork(lambda: (use(), fork(use)))",
    "while the parent uses it": """
busy = threading.Thread(target=lambda: [use() for _ in range(10)])
busy.start()
for _ in range(3):
    fork(use)
busy.join()
""",
    "after it was closed": "segmenter.close(); fork(lambda: None)",
    "a pool of processes": """
from multiprocessing import get_context
with get_context("fork").Pool(2) as pool:
    for found in pool.map(segmenter, [image] * 4):
        np.testing.assert_array_equal(found.panoptic, expected)
use()
""",
}


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("work", WORK.values(), ids=WORK.keys())
def test_a_forked_process(work: str, backend: str) -> None:
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    done = run(FORKED + work, backend)
    assert done.returncode == 0, done.stderr


ON_GPU = """
from pem_edge.runtime.backends.onnxruntime import OnnxRuntime
OnnxRuntime._stays_behind = lambda self: True

def refused():
    try:
        use()
    except pem_edge.PemError as error:
        print(error)
fork(refused)
use()
"""


def test_a_model_on_a_gpu_is_refused_in_one_line() -> None:
    done = run(FORKED + ON_GPU, "onnxruntime")
    assert done.stdout.endswith(
        "pem-nano.onnx is on a GPU, which forked processes cannot use: start them with "
        "multiprocessing.get_context('spawn')\n"
    ), done.stderr
