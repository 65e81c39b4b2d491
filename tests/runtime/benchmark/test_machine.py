"""Reports describe the machine that they were measured on."""

from __future__ import annotations

from pem_edge.runtime.benchmark import machine


def test_this_machine() -> None:
    found = machine.describe()
    assert 1 <= found.usable_cores <= found.cores
    assert found.versions["numpy"]
    assert found.cpu
    assert set(found.before) >= {"load", "CPU clocks", "temperature"}
    assert all(isinstance(value, str) and value for value in (found.details | found.before).values())
