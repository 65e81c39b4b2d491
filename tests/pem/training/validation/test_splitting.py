"""A dataset is divided the same way each time, and neighboring frames stay together."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pem_edge.pem.training.validation.splitting import split_dataset
from pem_edge.runtime.datasets.dataset import names_of
from pem_edge.runtime.errors import TrainingError
from tests.helpers.boxes import Boxes

COUNTS = st.integers(2, 300)
FRACTIONS = st.floats(0.001, 0.999)
SEEDS = st.integers(0, 2**32 - 1)


class Frames(Boxes):
    """Boxes in files called frame_0.png and so on, in any order."""

    def __init__(self, count: int, seed: int) -> None:
        super().__init__(count)
        self.numbers = random.Random(seed).sample(range(count), count)
        self.names = [f"videos/frame_{number}.png" for number in self.numbers]


@given(COUNTS, FRACTIONS, SEEDS)
def test_every_image_is_on_one_side_and_none_is_empty(count: int, fraction: float, seed: int) -> None:
    train, val = split_dataset(Boxes(count), fraction, seed)
    assert sorted([*train.indices, *val.indices]) == list(range(count))
    assert len(val) == min(count - 1, max(1, round(fraction * count)))
    again = split_dataset(Boxes(count), fraction, seed)
    assert (again[0].indices, again[1].indices) == (train.indices, val.indices)


@given(COUNTS, FRACTIONS, SEEDS)
def test_those_set_aside_are_blocks_of_neighbors_in_the_order_of_names(count: int, fraction: float, seed: int) -> None:
    frames = Frames(count, seed)
    _, val = split_dataset(frames, fraction, seed)
    numbers = sorted(frames.numbers[index] for index in val.indices)
    blocks = 1 + sum(after - before > 1 for before, after in pairwise(numbers))
    assert blocks <= max(1, min(round(math.sqrt(len(val))), len(val) // 5))
    assert names_of(val) == [frames.names[index] for index in val.indices]


@given(COUNTS, FRACTIONS, SEEDS)
def test_few_of_those_set_aside_have_a_neighbor_that_is_trained_on(count: int, fraction: float, seed: int) -> None:
    _, val = split_dataset(Boxes(count), fraction, seed)
    held = {*val.indices}
    beside = [index for index in held if not {index - 1, index + 1} <= held | {-1, count}]
    assert len(beside) <= max(2, 2 * len(held) / 5)


def test_blocks_are_spread_and_depend_on_the_seed() -> None:
    splits = {split_dataset(Boxes(400), 0.1, seed)[1].indices for seed in range(20)}
    assert len(splits) == 20
    for indices in splits:
        assert all(any(index // 100 == quarter for index in indices) for quarter in range(4))


def test_a_subset_has_the_samples_of_its_dataset() -> None:
    boxes = Boxes(10)
    train, _ = split_dataset(boxes, 0.3, 0)
    assert [train[i].name for i in range(len(train))] == [boxes[index].name for index in train.indices]
    assert train.labels == boxes.labels
    assert names_of(train) is None


@pytest.mark.parametrize(
    ("count", "fraction", "message"),
    [(1, 0.1, "the dataset has 1 of the at least 2 images"), (0, 0.1, "has 0 of"), (9, 1.0, "1.0, expected more than"),
     (9, 0.0, "0.0, expected"), (9, math.nan, "nan, expected")],
)  # fmt: skip
def test_a_split_that_is_impossible_is_refused(count: int, fraction: float, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        split_dataset(Boxes(count), fraction, 0)
