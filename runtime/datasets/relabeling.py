"""A dataset whose class indices are changed to those of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.dataset import Dataset, DerivedDataset, Sample
from pem_edge.runtime.errors import InputError

_MAX_NAMES = 5
"""Maximum number of class names that a message lists."""


@dataclass(frozen=True)
class Parties:
    """The two whose classes must be the same, as a message names them.

    Attributes:
        ours: Whose classes are renumbered.
        theirs: Whose numbers they get.
        cure: How to make the classes the same.
        cure_names: How, if only names or their order differ.
        cure_kinds: How, if what is a thing for one is stuff for the other.
    """

    ours: str
    theirs: str
    cure: str
    cure_names: str
    cure_kinds: str


DATASET_AND_MODEL = Parties(
    ours="the dataset",
    theirs="the model",
    cure="give a dataset of the model's classes, or train the model on this one with pem-train --weights",
    cure_names="if these are names of the same classes in the same order, export the model with --labels of the "
    "dataset",
    cure_kinds="correct its isthing or --things, or export the model with --labels of the dataset",
)


class Relabeled(DerivedDataset):
    """A dataset with its classes renumbered to match ``labels``, which must be the same classes in any order.

    Classes match by their whole names or, if those differ, by the part before the first comma: ADE20K's names are lists
    of synonyms.

    Args:
        dataset: The dataset.
        labels: The model's classes.
        kinds: Whether things must be things in both. A semantic map makes no difference of things and stuff.
        parties: What ``dataset`` and whatever has ``labels`` are, for messages.

    Raises:
        InputError: If the classes differ; the message lists the differences.
    """

    def __init__(
        self,
        dataset: Dataset,
        labels: Sequence[Label],
        *,
        kinds: bool = True,
        parties: Parties = DATASET_AND_MODEL,
    ) -> None:
        super().__init__(dataset)
        self._classes = _match(dataset.labels, labels, parties)
        if kinds:
            _require_same_kinds(dataset.labels, [labels[index] for index in self._classes], parties)
        self.labels = labels

    def __getitem__(self, index: int) -> Sample:
        sample = self._dataset[index]
        segments = [replace(segment, category_id=self._classes[segment.category_id]) for segment in sample.segments]
        return replace(sample, segments=segments)


def _match(own: Sequence[Label], wanted: Sequence[Label], parties: Parties) -> list[int]:
    """Return the index in ``wanted`` of each class of ``own``."""
    key = next((key for key in (_name, _first_synonym) if _have_same_names(own, wanted, key)), None)
    if key is None:
        raise InputError(_describe_difference(own, wanted, parties))
    indices = {key(label): index for index, label in enumerate(wanted)}
    return [indices[key(label)] for label in own]


def _require_same_kinds(own: Sequence[Label], theirs: Sequence[Label], parties: Parties) -> None:
    for label, other in zip(own, theirs, strict=True):
        if label.isthing != other.isthing:
            raise InputError(
                f"the class {label.name!r} is {_kind(label)} in {parties.ours} and {_kind(other)} in {parties.theirs}: "
                f"{parties.cure_kinds}"
            )


def _have_same_names(own: Sequence[Label], wanted: Sequence[Label], key: Callable[[Label], str]) -> bool:
    names = {key(label) for label in wanted}
    return {key(label) for label in own} == names and len(own) == len(wanted) == len(names)


def _name(label: Label) -> str:
    return label.name


def _first_synonym(label: Label) -> str:
    return label.name.split(",")[0].strip()


def _describe_difference(own: Sequence[Label], wanted: Sequence[Label], parties: Parties) -> str:
    mine, theirs = (dict.fromkeys(_first_synonym(label) for label in side) for side in (own, wanted))
    differences = [
        f"only {owner} has {_list_names([name for name in names if name not in others])}"
        for owner, names, others in ((parties.ours, mine, theirs), (parties.theirs, theirs, mine))
        if names.keys() - others.keys()
    ]
    cure = parties.cure_names if len(own) == len(wanted) else parties.cure
    return (
        f"the {len(own)} classes of {parties.ours} are not the {len(wanted)} of {parties.theirs}: "
        f"{'; '.join(differences) or 'names occur more than once'}; {cure}"
    )


def _list_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(map(repr, names[:_MAX_NAMES])) + more


def _kind(label: Label) -> str:
    return "a thing" if label.isthing else "stuff"
