"""Labeled images whose classes are numbered as a model's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.dataset import Dataset, Sample
from pem_edge.runtime.errors import InputError

_SHOWN = 5


class Relabeled:
    """``dataset`` with ``labels`` in place of its own, which must be the same classes in any order.

    Classes are the same if their names are, or, failing that, what stands before the first comma, where ADE20K has
    synonyms. Raises InputError that names the difference.
    """

    def __init__(self, dataset: Dataset, labels: Sequence[Label]) -> None:
        self._dataset = dataset
        self._classes = _matched(dataset.labels, labels)
        self.labels = labels

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Sample:
        sample = self._dataset[index]
        segments = [replace(segment, category_id=self._classes[segment.category_id]) for segment in sample.segments]
        return replace(sample, segments=segments)


def _matched(own: Sequence[Label], wanted: Sequence[Label]) -> list[int]:
    """Return the index in ``wanted`` of each class of ``own``."""
    key = next((key for key in (_name, _first_synonym) if _same(own, wanted, key)), None)
    if key is None:
        raise InputError(_difference(own, wanted))
    places = {key(label): place for place, label in enumerate(wanted)}
    classes = [places[key(label)] for label in own]
    for label, place in zip(own, classes, strict=True):
        if label.isthing != wanted[place].isthing:
            raise InputError(
                f"the class {label.name!r} is {_kind(label)} in the dataset and {_kind(wanted[place])} in the model: "
                "correct its isthing, or export the model with --labels of the dataset"
            )
    return classes


def _same(own: Sequence[Label], wanted: Sequence[Label], key: Callable[[Label], str]) -> bool:
    names = {key(label) for label in wanted}
    return {key(label) for label in own} == names and len(own) == len(wanted) == len(names)


def _name(label: Label) -> str:
    return label.name


def _first_synonym(label: Label) -> str:
    return label.name.split(",")[0].strip()


def _difference(own: Sequence[Label], wanted: Sequence[Label]) -> str:
    mine, theirs = (dict.fromkeys(_first_synonym(label) for label in side) for side in (own, wanted))
    only = [
        f"only {where} has {_listed([name for name in one if name not in other])}"
        for where, one, other in (("the dataset", mine, theirs), ("the model", theirs, mine))
        if one.keys() - other.keys()
    ]
    return (
        f"the {len(own)} classes of the dataset are not the {len(wanted)} of the model: "
        f"{'; '.join(only) or 'names occur more than once'}; export the model with --labels of the dataset"
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more


def _kind(label: Label) -> str:
    return "a thing" if label.isthing else "stuff"
