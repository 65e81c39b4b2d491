"""Profiles of ONNX Runtime are read whatever their times were rounded to, and tell of tensors after a single run."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pem_edge.runtime.backends import ort_profile
from pem_edge.runtime.inference.profiled_nodes import ProfiledNode, TensorType

MAP = TensorType("float32", (1, 8))


def profile(starts: list[int], durations: list[int], kernels: list[int]) -> bytes:
    """Return a profile with a run for each start, and a kernel of one millisecond at each of ``kernels``."""
    runs = [{"name": "model_run", "ts": start, "dur": each} for start, each in zip(starts, durations, strict=True)]
    arguments = {"op_name": "Conv", "input_type_shape": [{"float": [1, 8]}], "output_type_shape": [{"float": [1, 8]}]}
    ran = [{"cat": "Node", "name": "stem_kernel_time", "ts": at, "dur": 1000, "args": arguments} for at in kernels]
    return msgspec.json.encode([*ran, *runs])


@given(st.lists(st.integers(0, 5), min_size=2, max_size=5))
def test_a_kernel_belongs_to_the_run_that_began_before_it(durations: list[int]) -> None:
    """Also if it takes so little time, in whole microseconds, that it begins as its run begins or ends."""
    starts = [10 * index for index in range(len(durations))]
    ends = [start + duration for start, duration in zip(starts, durations, strict=True)]
    (node,) = ort_profile.profiled_nodes(profile(starts, durations, [*starts, *ends]))
    assert node == ProfiledNode("stem", "Conv", 2.0, (MAP,), (MAP,))


def test_one_run_is_enough_to_know_the_tensors() -> None:
    assert ort_profile.tensors(profile([0], [10], [3])) == {("stem", "Conv"): (MAP,)}


def test_weights_are_taken_from_where_they_were_not_packed() -> None:
    node, other = ProfiledNode("stem", "Conv", 2.0, (MAP,), (MAP,)), ProfiledNode("head", "MatMul", 1.0, (MAP,), (MAP,))
    weights = TensorType("float32", (8, 8))
    with_weights, unchanged = ort_profile.with_weights([node, other], {("stem", "Conv"): (MAP, weights)})
    assert with_weights == ProfiledNode("stem", "Conv", 2.0, (MAP, weights), (MAP,))
    assert unchanged == other
