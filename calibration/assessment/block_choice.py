"""Measures the accuracy that each block loses in INT8, and chooses the blocks to keep in floating point."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import onnx
from tqdm import tqdm

Score = Callable[[onnx.ModelProto], float]
"""A function that scores a model in percent, higher is better: by `LabeledScore`, or `Agreement` without labels."""

Quantize = Callable[[Collection[str]], onnx.ModelProto]
"""A function that returns the model with all blocks in INT8 except the given ones."""


@dataclass(frozen=True)
class Choice:
    """The result of `choose`.

    Attributes:
        kept: The blocks to keep in floating point.
        drop: The drop in score with these blocks kept, in percentage points.
        steps: The drop with the first 0, 1, 2, ... blocks of ``kept`` kept; the last one is ``drop``.
    """

    kept: tuple[str, ...]
    drop: float
    steps: tuple[float, ...]


def sensitivity(names: Sequence[str], quantize: Quantize, score: Score, reference: float) -> dict[str, float]:
    """Measure the drop in score that each block causes when it alone is in INT8.

    Args:
        names: The blocks.
        quantize: The function that quantizes the model.
        score: The function that scores a model.
        reference: The score of the model in floating point.

    Returns:
        The drop below ``reference`` in percentage points, by block, the most sensitive block first. A negative drop is
        a gain. Whatever ``quantize`` and ``score`` raise is passed on.
    """
    with tqdm(names, desc="sensitivity", unit="block", disable=None) as each:
        drops = {name: reference - score(quantize([other for other in names if other != name])) for name in each}
    return dict(sorted(drops.items(), key=lambda item: -item[1]))


def choose(ranking: Iterable[str], quantize: Quantize, score: Score, reference: float, max_drop: float) -> Choice:
    """Choose the blocks to keep in floating point: the first ones of ``ranking``, no more than necessary.

    The drop is measured again after each block is added, because the drops of single blocks do not add up.

    Args:
        ranking: The blocks, the most sensitive first.
        quantize: The function that quantizes the model.
        score: The function that scores a model.
        reference: The score of the model in floating point.
        max_drop: The maximum drop below ``reference`` to accept, in percentage points.

    Returns:
        The choice. If no choice meets ``max_drop``, it keeps all blocks. Whatever ``quantize`` and ``score`` raise is
        passed on.
    """
    kept: list[str] = []
    steps = [reference - score(quantize(kept))]
    with tqdm(list(ranking), desc="choosing", unit="block", disable=None) as names:
        for name in names:
            if steps[-1] <= max_drop:
                break
            kept.append(name)
            steps.append(reference - score(quantize(kept)))
    return Choice(tuple(kept), steps[-1], tuple(steps))
