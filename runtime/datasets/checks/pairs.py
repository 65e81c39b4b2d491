"""Whether a validation set fits its training set, told before either is read as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.plurals import first_few


def check_pair(train: Dataset, val: Dataset) -> list[str]:
    """Return warnings about a training set and its validation set, of each of which it reads three samples.

    Raises:
        InputError: If one of these samples is damaged.
    """
    warnings = list(differing_classes(train.labels, val.labels))
    count = len(train)
    if count == len(val) and all(
        np.array_equal(train[index].image, val[index].image) for index in {0, count // 2, count - 1}
    ):
        warnings.append(
            "the validation set seems to be the training set, so its figures will flatter: set pictures apart that "
            "training never sees"
        )
    return warnings


def differing_classes(train: Sequence[Label], val: Sequence[Label]) -> Iterator[str]:
    """Yield a warning for each way in which the classes of a validation set differ from those of the training set."""
    known = {label.name: label.isthing for label in train}
    strange = [label.name for label in val if label.name not in known]
    missing = known.keys() - {label.name for label in val}
    turned = [label.name for label in val if known.get(label.name, label.isthing) != label.isthing]
    if strange or missing:
        sides = (
            f"only {side} has {first_few(map(repr, names))}"
            for side, names in (
                ("the validation set", strange),
                ("the training set", [each for each in known if each in missing]),
            )
            if names
        )
        yield f"the classes differ by name: {'; '.join(sides)}: give both the same categories"
    if turned:
        yield f"things in one set are stuff in the other, {first_few(map(repr, turned))}: correct their isthing"
