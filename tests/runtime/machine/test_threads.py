"""A model gets a thread for each core that is worth it, whichever CPUs there are, and no more than a quota pays for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pem_edge.runtime.machine import cores, cpu, threads
from tests.runtime.helpers.trees import put

CPU = "sys/devices/system/cpu/cpu"
QUOTA = "sys/fs/cgroup/cpu.max"


def siblings(*groups: str) -> dict[str, str]:
    """Return the files of CPUs that share cores: "0,4" are two CPUs of one core."""
    return {
        f"{CPU}{number}/topology/thread_siblings_list": f"{group}\n"
        for group in groups
        for span in cores.parse_ranges(group)
        for number in span
    }


def capacities(*values: int) -> dict[str, str]:
    return {f"{CPU}{number}/cpu_capacity": f"{value}\n" for number, value in enumerate(values)}


HYPERTHREADS = siblings("0,4", "1,5", "2,6", "3,7")
HYBRID = {"sys/devices/cpu_core/cpus": "0-11", "sys/devices/cpu_atom/cpus": "12-19"}
HYBRID_CORES = siblings(*(f"{first}-{first + 1}" for first in range(0, 12, 2)), *map(str, range(12, 20)))


@pytest.mark.parametrize(
    ("cpus", "files", "count", "reason"),
    [
        pytest.param(range(4), siblings("0", "1", "2", "3"), 4, "one for each of 4 cores", id="board of four"),
        pytest.param(range(4), {}, 4, "one for each of 4 cores", id="nothing known"),
        pytest.param([2], siblings("2"), 1, "one, for the only core", id="one core"),
        pytest.param([1, 5], HYPERTHREADS, 1, "one, for the only core (2 hyperthreads)", id="one core's hyperthreads"),
        pytest.param(range(8), HYPERTHREADS, 4, "one for each of 4 cores (8 hyperthreads)", id="hyperthreads"),
        pytest.param(range(4), HYPERTHREADS, 4, "one for each of 4 cores", id="taskset, one of each core"),
        pytest.param([0, 4, 1], HYPERTHREADS, 2, "one for each of 2 cores (3 hyperthreads)", id="taskset, uneven"),
        pytest.param(
            range(8), capacities(*[397] * 4, *[1024] * 4), 4, "one for each of the 4 fastest of 8 cores", id="RK3588"
        ),
        pytest.param(range(6), capacities(*[485] * 4, 1024, 1024), 6, "one for each of 6 cores", id="RK3399"),
        pytest.param(range(4), capacities(*[397] * 4, *[1024] * 4), 4, "one for each of 4 cores", id="little alone"),
        pytest.param(range(4), capacities(1024, 1010, 1024, 990), 4, "one for each of 4 cores", id="nearly equal"),
        pytest.param(
            range(20), HYBRID | HYBRID_CORES, 6, "one for each of the 6 fastest of 14 cores", id="six P-cores, eight E"
        ),
        pytest.param(
            range(12),
            {"sys/devices/cpu_atom/cpus": "4-11\n", **siblings("0-1", "2-3", *map(str, range(4, 12)))},
            10,
            "one for each of 10 cores (12 hyperthreads)",
            id="two P-cores, eight E",
        ),
        pytest.param(range(4), {QUOTA: "120000 100000"}, 1, "a quota of 1.2 CPUs", id="quota of 1.2"),
        pytest.param(range(4), {QUOTA: "125000 100000"}, 2, "a quota of 1.25 CPUs", id="quota of 1.25"),
        pytest.param(range(4), {QUOTA: "150000 100000"}, 2, "a quota of 1.5 CPUs", id="quota of 1.5"),
        pytest.param(range(4), {QUOTA: "20000 100000"}, 1, "a quota of 0.2 CPUs", id="quota below one"),
        pytest.param(range(4), {QUOTA: "380000 100000"}, 4, "one for each of 4 cores", id="nearly four"),
        pytest.param(range(8), {QUOTA: "600000 100000", **HYPERTHREADS}, 4, "one for each of 4 cores (8 hyperthreads)",
                     id="quota above the cores"),
    ],
)  # fmt: skip
def test_what_is_chosen_and_why(
    cpus: range | list[int], files: dict[str, str], count: int, reason: str, tmp_path: Path
) -> None:
    found = threads.choose(cpus, put(tmp_path, files))
    assert (found.count, found.reason) == (count, reason)


def test_this_machine_gets_at_most_a_thread_for_each_cpu() -> None:
    assert 1 <= threads.choose().count <= len(threads.allowed())


SPEEDS = st.lists(st.floats(0.1, 1), min_size=1, max_size=64).map(lambda found: sorted(found, reverse=True))


@given(SPEEDS)
def test_no_other_number_of_cores_is_faster(speeds: list[float]) -> None:
    count = threads.worthwhile(speeds)
    assert all(count * speeds[count - 1] >= other * speeds[other - 1] for other in range(1, len(speeds) + 1))


@given(st.integers(1, 256), st.floats(0.1, 2000))
def test_equal_cores_all_count(count: int, speed: float) -> None:
    assert threads.worthwhile([speed] * count) == count


@given(st.sets(st.integers(0, 300)))
def test_lists_of_cpus_are_read_as_linux_writes_them(numbers: set[int]) -> None:
    spans = cores.parse_ranges(cpu.ranges(sorted(numbers)))
    assert {number for span in spans for number in span} == numbers


@pytest.mark.parametrize(
    "text", ["", "x", "0,", "-1", "0-x", "0-1-2", "٣", "1" * 5000, f"0-{'1' * 5000}", "\0", "1_0", "+1"]
)
def test_what_is_no_list_of_cpus_has_none(text: str) -> None:
    assert cores.parse_ranges(text) == []


DAMAGED = {
    "one byte alike as siblings": ({f"{CPU}{number}/topology/thread_siblings_list": "\x01" for number in range(4)}, 4),
    "siblings of another CPU": ({f"{CPU}{number}/topology/thread_siblings_list": "7" for number in range(4)}, 4),
    "capacities below zero": (capacities(*[-1] * 4), 4),
    "capacities of some": (capacities(1024, 1024, 0, 0), 4),
    "E-cores without an end": ({"sys/devices/cpu_atom/cpus": "0-99999999"}, 4),
    "E-cores of 5000 digits": ({"sys/devices/cpu_atom/cpus": "1" * 5000}, 4),
    "a quota of 400 digits": ({QUOTA: f"{'1' * 400} 1"}, 4),
    "a quota of 5000 digits": ({QUOTA: f"{'1' * 5000} 100000"}, 4),
    "a quota of nothing": ({QUOTA: "0 100000"}, 4),
}


@pytest.mark.parametrize("damaged", DAMAGED)
def test_damaged_files_count_as_unknown(damaged: str, tmp_path: Path) -> None:
    files, count = DAMAGED[damaged]
    assert threads.choose(range(4), put(tmp_path, files)).count == count


def test_without_a_cpu_there_is_one_thread(tmp_path: Path) -> None:
    assert threads.choose(set(), tmp_path) == threads.Choice(1, 1, "one, for the only core")
