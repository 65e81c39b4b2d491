"""bfloat16 is chosen where it is faster, as measured."""

from __future__ import annotations

import pytest
import torch

from pem_edge.pem.training import precision
from pem_edge.pem.training.processes import Processes
from pem_edge.runtime.machine import cpu

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _measured_anew() -> None:
    precision.bf16_pays.cache_clear()


@pytest.mark.skipif(bool(cpu.features() & cpu.BF16), reason="this processor computes in bfloat16 itself")
def test_it_is_not_emulated() -> None:
    assert not precision.bf16_pays(CPU)
    assert Processes(0, 1, 1, CPU).precision("auto") == "fp32"


@pytest.mark.skipif("amx_bf16" not in cpu.features(), reason="this processor has no matrix unit for bfloat16")
def test_it_is_used_where_there_is_a_unit_for_it() -> None:
    assert precision.bf16_pays(CPU)
    assert Processes(0, 1, 1, CPU).precision("auto") == "bf16"


def test_what_is_asked_for_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(precision, "_seconds")
    for asked in ("fp32", "bf16"):
        alone = Processes(0, 1, 1, CPU)
        assert alone.precision(asked) == asked
        with alone.autocast(asked):
            assert torch.is_autocast_enabled("cpu") == (asked == "bf16")
