"""Quotas of containers and services count into the number of threads, and their memory into that of the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pem_edge.runtime.machine import usable_cpus
from pem_edge.runtime.machine.quotas import cpu_quota, memory_limit
from tests.runtime.helpers.trees import put


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "50000 0\n"}, None),
        ({"cpu.max": ""}, None),
        ({"cpu.max": "0 100000\n"}, None),
        ({"cpu.max": "-1 100000\n"}, None),
        ({"cpu.max": "٣ ٣\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_quotas_of_both_kinds_of_control_groups(files: dict[str, str], expected: float | None, tmp_path: Path) -> None:
    assert cpu_quota(put(tmp_path, {f"sys/fs/cgroup/{name}": content for name, content in files.items()})) == expected


@pytest.mark.parametrize(
    ("listed", "files", "expected"),
    [
        ("0::/system.slice/app.service", {"system.slice/app.service/cpu.max": "150000 100000"}, 1.5),
        (
            "0::/user.slice/app.scope",
            {"user.slice/app.scope/cpu.max": "max 100000", "user.slice/cpu.max": "300000 100000"},
            3.0,
        ),
        (
            "0::/user.slice/app.scope",
            {"user.slice/app.scope/cpu.max": "400000 100000", "user.slice/cpu.max": "300000 100000"},
            3.0,
        ),
        ("0::/user.slice", {"another.slice/cpu.max": "50000 100000"}, None),
        (
            "4:cpu,cpuacct:/docker/1f\n3:memory:/",
            {"cpu/docker/1f/cpu.cfs_quota_us": "50000", "cpu/docker/1f/cpu.cfs_period_us": "100000"},
            0.5,
        ),
        (
            "4:cpu,cpuacct:/docker/1f",
            {"cpu,cpuacct/docker/1f/cpu.cfs_quota_us": "50000", "cpu,cpuacct/docker/1f/cpu.cfs_period_us": "100000"},
            0.5,
        ),
        ("4:cpuacct:/\n0::/a/b", {"unified/a/b/cpu.max": "50000 100000"}, 0.5),
        ("0::/a\0b\n0::/a", {"a/cpu.max": "50000 100000"}, 0.5),
        (f"0::{'/a' * 100_000}", {"cpu.max": "50000 100000"}, 0.5),
        ("3:cpuset:/docker/1f", {"cpu/docker/1f/cpu.cfs_quota_us": "1", "cpu/docker/1f/cpu.cfs_period_us": "9"}, None),
        ("nonsense\n::\n0::/../../x", {"cpu.max": "20000 100000"}, 0.2),
    ],
)
def test_the_groups_around_a_process_limit_it_too(
    listed: str, files: dict[str, str], expected: float | None, tmp_path: Path
) -> None:
    found = {f"sys/fs/cgroup/{name}": content for name, content in files.items()}
    assert cpu_quota(put(tmp_path, {"proc/self/cgroup": listed, **found})) == expected


@pytest.mark.parametrize(
    ("listed", "files", "expected"),
    [
        ("", {}, None),
        ("", {"memory.max": "300"}, 300),
        ("", {"memory.max": "0"}, None),
        ("", {"memory.max": "-1"}, None),
        ("", {"memory/memory.limit_in_bytes": "9223372036854771712"}, None),
        ("0::/a/b", {"unified/a/b/memory.max": "300"}, 300),
        ("", {"memory/memory.limit_in_bytes": "300"}, 300),
        ("0::/system.slice/app.service", {"system.slice/app.service/memory.max": "300"}, 300),
        ("0::/app.slice/app.scope", {"app.slice/app.scope/memory.max": "max", "app.slice/memory.max": "300"}, 300),
        ("0::/app.slice/app.scope", {"app.slice/app.scope/memory.max": "400", "app.slice/memory.max": "300"}, 300),
        ("0::/app.slice", {"another.slice/memory.max": "300"}, None),
        ("4:cpu,cpuacct:/\n3:memory:/docker/1f", {"memory/docker/1f/memory.limit_in_bytes": "300"}, 300),
        ("4:cpu,cpuacct:/docker/1f\n3:memory:/", {"memory/docker/1f/memory.limit_in_bytes": "300"}, None),
    ],
)
def test_the_groups_around_a_process_limit_its_memory_too(
    listed: str, files: dict[str, str], expected: int | None, tmp_path: Path
) -> None:
    found = {f"sys/fs/cgroup/{name}": content for name, content in files.items()}
    assert memory_limit(put(tmp_path, {"proc/self/cgroup": listed, **found})) == expected


def test_a_part_of_a_cpu_is_one_cpu(tmp_path: Path) -> None:
    assert usable_cpus(put(tmp_path, {"sys/fs/cgroup/cpu.max": "20000 100000"})) == 1


def test_without_a_quota_all_cpus_of_the_process_count(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path) == len(os.sched_getaffinity(0))
