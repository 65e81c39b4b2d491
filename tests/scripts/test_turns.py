"""Contestants take turns in an order drawn anew each round, and every value that was measured is returned."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from scripts.bench.networks.turns import Run, measure, medians

ROUNDS = 6


def prepare(log: Path, name: str) -> Mapping[str, Run]:
    """Prepare two runs that note that it is their turn."""
    return {kind: partial(note, log, f"{name}-{kind}") for kind in ("first", "second")}


def note(log: Path, entry: str) -> None:
    with log.open("a") as file:
        file.write(f"{entry}\n")
    time.sleep(0.001)


def refuse() -> Mapping[str, Run]:
    raise ValueError("nothing to time")


def test_every_round_has_all_in_an_order_of_its_own_and_every_value_is_returned(tmp_path: Path) -> None:
    log = tmp_path / "log"
    found = measure({name: partial(prepare, log, name) for name in ("one", "other")}, ROUNDS)
    entries = log.read_text().split()
    rounds = [tuple(entries[start : start + 4]) for start in range(0, len(entries), 4)]
    assert len(rounds) == ROUNDS + 1  # one to warm up
    assert {frozenset(each) for each in rounds} == {frozenset(rounds[0])}
    assert len(set(rounds)) > 1
    assert {name: set(measured.seconds) for name, measured in found.items()} == {
        name: {"first", "second"} for name in ("one", "other")
    }
    for measured in found.values():
        assert all(len(values) == ROUNDS and min(values) >= 0.001 for values in measured.seconds.values())
        assert measured.peak is None or measured.peak > 1 << 20


def test_medians_are_of_every_run(tmp_path: Path) -> None:
    found = medians({"one": partial(prepare, tmp_path / "log", "one")}, rounds=3)
    assert set(found["one"]) == {"first", "second"}
    assert min(found["one"].values()) >= 0.001


@pytest.mark.timeout(60)
def test_a_contestant_that_fails_ends_the_run() -> None:
    with pytest.raises(EOFError):
        measure({"one": refuse}, ROUNDS)
