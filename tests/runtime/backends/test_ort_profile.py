"""Profiles of ONNX Runtime are read whatever their times were rounded to, and tell of tensors after a single run."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pem_edge.runtime.backends import ort_profile
from pem_edge.runtime.errors import BackendError
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


def test_a_kernel_before_the_first_run_belongs_to_none() -> None:
    (node,) = ort_profile.profiled_nodes(profile([10, 20, 30], [5, 5, 5], [3, 12, 22, 32]))
    assert node.milliseconds == 1.0
    assert ort_profile.profiled_nodes(profile([10, 20], [5, 5], [3])) == []


@pytest.mark.parametrize("damaged", [b"", b"[", b"\xff", b"{}", b'[{"ts": "x"}]', b"[" * 100_000])
def test_a_damaged_profile_is_refused_in_one_line(damaged: bytes) -> None:
    for read in (ort_profile.profiled_nodes, ort_profile.tensors):
        with pytest.raises(
            BackendError, match=r"^ONNX Runtime's profile is damaged \(.*\), expected .*: profile it again$"
        ):
            read(damaged)


def test_arguments_of_another_kind_are_damage_too() -> None:
    event = {"cat": "Node", "name": "stem_kernel_time", "args": {"op_name": 3}}
    with pytest.raises(BackendError, match="is damaged"):
        ort_profile.tensors(msgspec.json.encode([event]))


@pytest.mark.parametrize("starts", [[], [0]])
def test_fewer_than_two_runs_tell_of_no_times(starts: list[int]) -> None:
    with pytest.raises(BackendError, match=rf"^ONNX Runtime's profile has {len(starts)} runs, expected at least 2: "):
        ort_profile.profiled_nodes(profile(starts, [1] * len(starts), starts))
