"""In rounds all artifacts have one turn each, the same picture, and nobody is favored."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from pem_edge.runtime.benchmark import rounds
from pem_edge.runtime.benchmark.options import Options
from pem_edge.runtime.benchmark.rounds import Subject


@pytest.fixture(autouse=True)
def _short_reference_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "_REFERENCE_WORK_SHAPE", (32, 32, 3))


@dataclass
class Scripted:
    """Takes turns of given lengths, and writes down which."""

    name: str
    diary: list[tuple[str, int, bool]]
    times: list[float] = field(default_factory=lambda: [10.0])
    loads: int = 1

    def load_anew(self) -> None:
        self.loads += 1

    def turn(self, index: int) -> Mapping[str, float]:
        self.diary.append((self.name, index, gc.isenabled()))
        return {"inference": self.times[index % len(self.times)] - 1, "total": self.times[index % len(self.times)]}


def measure(subjects: list[Scripted], options: Options) -> rounds.Rounds:
    return rounds.measure(cast(list[Subject], subjects), options, lambda _: None)


def test_each_has_two_calls_a_round_of_which_the_second_counts() -> None:
    diary: list[tuple[str, int, bool]] = []
    options = Options(rounds=6, most_rounds=6, warmup=10, seed=3)
    taken = measure([Scripted("a", diary), Scripted("b", diary), Scripted("c", diary)], options)
    turns = diary[3 * 10 :]
    assert len(turns) == 6 * 3 * 2
    for index in range(6):
        names = [name for name, number, _ in turns[6 * index : 6 * index + 6] if number == index]
        assert names[::2] == names[1::2]
        assert sorted(names[::2]) == ["a", "b", "c"]
    assert len({tuple(name for name, _, _ in turns[i : i + 6]) for i in range(0, 36, 6)}) > 1  # the order is shuffled
    assert [len(times) for stages in taken.stages for times in stages.values()] == [6] * 6
    assert len(taken.reference_work) == 6


def test_garbage_is_collected_before_and_after_but_not_meanwhile() -> None:
    diary: list[tuple[str, int, bool]] = []
    measure([Scripted("a", diary)], Options(rounds=2, most_rounds=2, warmup=10))
    assert [collecting for _, _, collecting in diary] == [True] * 10 + [False] * 4
    assert gc.isenabled()


def test_more_rounds_follow_as_long_as_a_ratio_is_known_too_badly() -> None:
    steady = Scripted("a", [])
    noisy = Scripted("b", [], times=[5.0, 40.0, 11.0, 7.0, 23.0, 10.0, 3.0])
    options = Options(rounds=8, most_rounds=30, warmup=10)
    assert len(measure([steady, Scripted("c", [])], options).reference_work) == 8
    assert len(measure([steady, noisy], options).reference_work) == 30
    assert len(measure([noisy], options).reference_work) == 8
    assert len(measure([steady, noisy], replace(options, most_seconds=0)).reference_work) == 8


def test_all_are_loaded_anew_every_ten_rounds_and_warmed_up_by_one_call() -> None:
    subjects = [Scripted("a", []), Scripted("b", [])]
    taken = measure(subjects, Options(rounds=25, most_rounds=25, warmup=10))
    assert [one.loads for one in subjects] == [3, 3]
    assert [len(one.diary) for one in subjects] == [10 + 2 * 25 + 2] * 2
    assert len(taken.reference_work) == 25


@pytest.mark.parametrize(
    ("times", "calls"), [([1.0], 10), ([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], 15)]
)
def test_warming_up_ends_when_times_are_steady(times: list[float], calls: int) -> None:
    seen = []

    def call(index: int) -> Mapping[str, float]:
        seen.append(index)
        return {"total": times[min(index, len(times) - 1)]}

    rounds.warm_up(call, 3)
    assert len(seen) == calls
