"""A probe that fails is a fact; the others go on."""

from __future__ import annotations

import sys
import time

import pytest

from pem_edge.runtime.diagnosis import probing
from pem_edge.runtime.diagnosis.schema import Finding, Findings

FINE = {"fine": Finding(name="fine", value="yes", status="ok")}


def raising() -> Findings:
    raise PermissionError(13, "Permission denied")


def ending() -> Findings:
    sys.exit(1)


def hanging() -> Findings:
    time.sleep(100)
    return {}


def test_failures_are_findings_and_hide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "_SECONDS", 0.5)
    probes = {"fine": lambda: FINE, "free_memory": raising, "ended": ending, "hung": hanging, "nothing": dict}
    found = probing.gather({"first": probes, "second": {"fine": lambda: FINE}})
    assert found["second"] == FINE
    assert list(found["first"]) == ["fine", "free_memory", "ended", "hung"]
    failed = found["first"]["free_memory"]
    assert (failed.name, failed.status) == ("free memory", "warning")
    assert failed.value == "could not be found out (PermissionError: [Errno 13] Permission denied)"
    assert found["first"]["ended"].value == "could not be found out (SystemExit: 1)"
    assert found["first"]["hung"].value == "could not be found out (it did not answer in time)"
