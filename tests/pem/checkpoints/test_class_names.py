"""Names of classes get what is known of them: whether they are things, and their colors."""

from __future__ import annotations

import re

import pytest

from pem_edge.pem.checkpoints.descriptions.class_names import labels_of
from pem_edge.runtime.artifacts import labels

OTHER_WORDS = {
    "window": "windowpane",
    "tub": "bathtub",
    "rail": "railing",
    "street lamp": "streetlight",
    "tv": "television receiver",
    "plane": "airplane",
    "clothes": "apparel",
    "pool": "swimming pool",
    "falls": "waterfall",
    "trash can": "ashcan",
}
"""Classes of ADE20K by the first of their synonyms, and as the hub's configurations call them."""


def other_words(name: str) -> str:
    first = re.split("[,;]", name)[0]
    return OTHER_WORDS.get(first, "bed " if first == "bed" else first)


SPELLINGS = {
    "as they are": lambda name: name,
    "other marks and capitals": lambda name: name.replace("-", "_").title(),
    "the hub's words": other_words,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", labels.BUNDLED)
def test_known_sets_are_known_in_other_spellings(name: str, spelling: str) -> None:
    said: list[str] = []
    known = labels.load(name)
    names = [SPELLINGS[spelling](label.name) for label in known]
    found = labels_of(names, said.append)
    assert said == []
    assert [label.name for label in found] == names
    assert [(each.id, each.isthing, each.color) for each in found] == [
        (each.id, each.isthing, each.color) for each in known
    ]


def test_part_of_a_known_set_is_looked_up_class_by_class() -> None:
    said: list[str] = []
    found = labels_of(["Road", "car", "sky", "person"], said.append)
    assert said == []
    assert [(each.id, each.isthing) for each in found] == [(0, False), (1, True), (2, False), (3, True)]
    assert len({each.color for each in found}) == 4


def test_a_known_set_in_another_order_keeps_its_things() -> None:
    known = {label.name: label.isthing for label in labels.load("cityscapes")}
    found = labels_of(sorted(known), print)
    assert {label.name: label.isthing for label in found} == known
    assert [label.name for label in found] == sorted(known)


@pytest.mark.parametrize("names", [["crack", "spalling", "road"], ["錆", "ひび", "road"], ["", " ", "road"]])
def test_unknown_classes_are_things_and_said_to_be(names: list[str]) -> None:
    said: list[str] = []
    found = labels_of(names, said.append)
    assert [(label.name, label.isthing) for label in found] == list(zip(names, (True, True, False), strict=True))
    assert said == [
        f"2 of 3 classes are in no known set, such as {names[0]!r}: they are taken for things; --labels FILE says "
        "which are stuff"
    ]


def test_what_is_said_of_a_name_is_one_short_line_without_control_characters() -> None:
    said: list[str] = []
    labels_of(["\x1b[31m\n" + "x" * 100_000], said.append)
    assert said[0].isprintable()
    assert len(said[0]) < 300
