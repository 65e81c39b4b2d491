"""Turns the bare names of classes, as other tools store them, into labels."""

from __future__ import annotations

from collections.abc import Sequence

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.progress import Say

_SAME_SHARE = 0.9
"""Share of the classes that must have the same names, for two sets to count as one in two spellings."""


def labels_of(names: Sequence[str], say: Say) -> tuple[Label, ...]:
    """Return labels of the classes ``names``.

    Whether a class is a thing or stuff, and its color, are those of the known set that has these names; else each is
    looked up in all known sets.

    Args:
        names: The names, in the order of the class logits.
        say: Told how many classes are taken for things because no set knows them.
    """
    sets = [labels.load(name) for name in labels.BUNDLED]
    for known in sets:
        if len(known) == len(names) and are_same(names, known):
            return tuple(
                Label(each.id, name, each.isthing, each.color) for name, each in zip(names, known, strict=True)
            )
    things = {labels.plain_name(each.name): each.isthing for known in reversed(sets) for each in known}
    unknown = [name for name in names if labels.plain_name(name) not in things]
    if unknown:
        say(
            f"{len(unknown)} of {len(names)} classes are in no known set, such as {brief(unknown[0])}: they are taken "
            "for things; --labels FILE says which are stuff"
        )
    return tuple(
        Label(index, name, things.get(labels.plain_name(name), True), labels.distinct_color(index))
        for index, name in enumerate(names)
    )


def are_same(names: Sequence[str], known: Sequence[Label]) -> bool:
    """Return whether ``names`` are, in this order, those of ``known``, as many, but for the spelling of a few."""
    same = sum(labels.plain_name(name) == labels.plain_name(each.name) for name, each in zip(names, known, strict=True))
    return same >= _SAME_SHARE * len(names)
