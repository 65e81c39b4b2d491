"""The best evaluation and patience are the same, whether a run was resumed or not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pem_edge.pem.training.validation.best import Best
from pem_edge.pem.training.validation.scores import Scores
from pem_edge.runtime.evaluation.metrics import Quality

FIGURES = st.lists(st.none() | st.floats(0, 100), min_size=1, max_size=12)


def scores(step: int, pq: float | None) -> Scores:
    quality: Quality = {"pq": pq, "sq": pq, "rq": pq}
    pqs = {"all": quality, "things": quality, "stuff": quality}
    return Scores(step, 0.1, {"images": 1, "pq": pqs, "miou": pq, "per_class": [], "milliseconds": {}})


def add(best: Best, figures: Sequence[float | None], first: int = 0) -> None:
    for step, figure in enumerate(figures, first):
        best.add(scores(step, figure))


@given(FIGURES)
def test_the_best_is_the_first_of_the_highest(figures: list[float | None]) -> None:
    best = Best("panoptic")
    add(best, figures)
    known = [-1 if figure is None else figure for figure in figures]
    assert best.scores is not None
    assert best.scores.step == known.index(max(known))
    assert best.waited == len(figures) - 1 - best.scores.step
    assert not best.exhausted


@given(FIGURES, st.integers(0, 12), st.integers(1, 4))
def test_a_run_that_goes_on_equals_one_that_never_stopped(
    figures: list[float | None], stop: int, patience: int
) -> None:
    whole, first, second = (Best("panoptic", patience) for _ in range(3))
    add(whole, figures)
    add(first, figures[:stop])
    second.restore(first.state())
    add(second, figures[stop:], len(figures[:stop]))
    assert second == whole
    assert second.exhausted == (second.waited >= patience)


def test_the_state_is_plain_enough_for_a_snapshot(tmp_path: Path) -> None:
    best = Best("semantic", 2)
    add(best, [1.0, 3.0, 2.0, 3.0])
    assert best.exhausted
    torch.save(best.state(), tmp_path / "state.pth")
    again = Best("semantic", 2)
    again.restore(torch.load(tmp_path / "state.pth", weights_only=True))
    assert again == best
    with pytest.raises(msgspec.ValidationError):
        again.restore({"scores": {"step": "x"}, "waited": 0})
