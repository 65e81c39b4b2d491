"""Measures what each block costs in INT8, and chooses the blocks to keep in floating point."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import onnx
from tqdm import tqdm

Score = Callable[[onnx.ModelProto], float]
"""Scores a model, higher is better: PQ in percent, or `agreement` in percent where there are no labels."""

Quantize = Callable[[Collection[str]], onnx.ModelProto]
"""Returns the model with all blocks in INT8 except the given ones."""


@dataclass(frozen=True)
class Choice:
    """The blocks ``kept`` in floating point, the remaining ``drop``, and the drop after each block was added."""

    kept: tuple[str, ...]
    drop: float
    steps: tuple[float, ...]


def sensitivity(names: Sequence[str], quantize: Quantize, score: Score, reference: float) -> dict[str, float]:
    """Return how far the score falls with one block alone in INT8, by block, the most sensitive first.

    The fall is that of ``score`` below ``reference``.
    """
    drops = {
        name: reference - score(quantize([other for other in names if other != name]))
        for name in tqdm(names, desc="sensitivity", unit="block")
    }
    return dict(sorted(drops.items(), key=lambda item: -item[1]))


def choose(ranking: Iterable[str], quantize: Quantize, score: Score, reference: float, most: float) -> Choice:
    """Keep blocks out of INT8, in the order of ``ranking``, until little enough is lost.

    The loss is how far ``score`` falls below ``reference``; it must be at most ``most``. Each time it is measured with
    all that is in INT8, since the losses of single blocks do not add up. If even the last step does not suffice, all
    blocks are kept.
    """
    kept: list[str] = []
    steps = [reference - score(quantize(kept))]
    for name in tqdm(list(ranking), desc="choosing", unit="block"):
        if steps[-1] <= most:
            break
        kept.append(name)
        steps.append(reference - score(quantize(kept)))
    return Choice(tuple(kept), steps[-1], tuple(steps))
