"""Suggestions are never the name that was given, which is what was wrong."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pem_edge.runtime.suggestions import did_you_mean, did_you_mean_file, no_such

NAMES = st.text("abAB.", min_size=1, max_size=6)


@given(NAMES, st.lists(NAMES, max_size=4))
def test_what_was_given_is_never_suggested(name: str, others: list[str]) -> None:
    assert did_you_mean(name, [*others, name]) != f": did you mean {name}?"
    assert did_you_mean(name, [*others, name]) == did_you_mean(name, [each for each in others if each != name])


def test_a_link_to_nothing_is_not_suggested_for_itself(tmp_path: Path) -> None:
    link = tmp_path / "street.jpg"
    link.symlink_to("nowhere.jpg")
    assert did_you_mean_file(link) == ""
    (tmp_path / "streets.jpg").touch()
    assert did_you_mean_file(link) == f": did you mean {tmp_path / 'streets.jpg'}?"


def test_a_link_to_nothing_is_not_suggested_for_another_name(tmp_path: Path) -> None:
    (tmp_path / "street.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "street.png").symlink_to("street.png")
    assert did_you_mean_file(tmp_path / "streets.jpg") == ""
    (tmp_path / "street2.jpg").touch()
    assert did_you_mean_file(tmp_path / "streets.jpg") == f": did you mean {tmp_path / 'street2.jpg'}?"


def test_long_names_are_shortened() -> None:
    assert len(no_such("x" * 100_000, ["openvino"])) < 200
