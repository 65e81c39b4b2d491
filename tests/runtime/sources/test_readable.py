"""Images that cannot be read are left out, and said to be; if none can be, that is the error."""

from __future__ import annotations

import pytest

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.sources.readable import read_readable, tell_left_out


def read(name: str) -> str:
    if name.startswith("bad"):
        raise InputError(f"{name} is empty: replace it")
    return name


def test_images_are_read_until_there_are_enough() -> None:
    given = iter(["bad1", "a", "bad2", "b", "c"])
    found, errors = read_readable(given, read, 2)
    assert (found, list(given)) == (["a", "b"], ["c"])
    assert tell_left_out(errors) == ["left out 2 images that cannot be read, the first: bad1 is empty: replace it"]
    assert tell_left_out(errors[:1]) == ["left out 1 image that cannot be read: bad1 is empty: replace it"]
    assert tell_left_out([]) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["bad"], "^bad is empty: replace it$"),
        (["bad1", "bad2"], "^none of 2 images can be read, the first: bad1 is empty: replace it$"),
    ],
)
def test_none_that_can_be_read_is_an_error(given: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_readable(given, read)
