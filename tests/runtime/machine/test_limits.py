"""Quotas of containers count into the number of threads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pem_edge.runtime.machine import cpu_quota, usable_cpus


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "50000 0\n"}, None),
        ({"cpu.max": ""}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_quotas_of_both_kinds_of_control_groups(files: dict[str, str], expected: float | None, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert cpu_quota(tmp_path) == expected


def test_a_part_of_a_cpu_is_one_thread(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("20000 100000")
    assert usable_cpus(tmp_path) == 1


def test_without_a_quota_all_cpus_of_the_process_count(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path) == len(os.sched_getaffinity(0))
