"""Arguments of public functions that cannot be used are named in one line, with what came and what was expected."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from pem_edge import runtime
from pem_edge.runtime.arguments import number_in, require_whole
from pem_edge.runtime.errors import ArgumentError, InputError, OutputError, PemError
from pem_edge.runtime.outside.printable import a_type, brief

IMAGE = np.zeros((64, 96, 3), np.uint8)


REFUSED = (
    *("0.5", "a", None, [0.5], True, np.True_, np.array(True), 1 + 0j, -0.1, 1.1, float("nan"), 10**400),
    *(np.array([0.5]), np.array("0.5"), np.array(2.0), Decimal("nan"), Decimal("snan"), Fraction(3, 2)),
)


@pytest.mark.parametrize("value", REFUSED)
def test_what_is_no_number_in_the_range_is_refused(value: object) -> None:
    with pytest.raises(
        ArgumentError, match=r"^share is .+, expected a number from 0 to 1: give one such as 0\.5$"
    ) as caught:
        number_in("share", value, 0, 1, such_as=0.5)
    assert isinstance(caught.value, ValueError)
    assert brief(value) in str(caught.value)


@given(
    st.floats(0, 1)
    | st.integers(0, 1)
    | st.floats(0, 1, width=32).map(np.float32)
    | st.floats(0, 1).map(np.array)
    | st.fractions(0, 1)
    | st.decimals(0, 1)
)
def test_every_number_in_the_range_becomes_a_float(value: Any) -> None:  # of NumPy's types, too
    found = number_in("share", value, 0, 1, such_as=0.5)
    assert type(found) is float
    assert found == float(value)


@pytest.mark.parametrize(("most", "shown"), [(0.5, "0.5"), (1, "1"), (1e6, "1000000"), (1e5 + 0.5, "100000.5")])
def test_limits_are_shown_as_they_are(most: float, shown: str) -> None:
    with pytest.raises(ArgumentError, match=f"^share is -1, expected a number from 0 to {re.escape(shown)}: give one"):
        number_in("share", -1, 0, most, such_as=0.5)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(np.zeros(1), "an ndarray"), (np.uint8(1), "a uint8"), (1, "an int"), ("", "a str"), (None, "None")],
)
def test_types_have_the_article_that_is_spoken(value: object, shown: str) -> None:
    assert a_type(value) == shown


@given(st.integers() | st.floats() | st.booleans() | st.text(max_size=9) | st.binary(max_size=9))
def test_whole_numbers_in_the_range_alone_are_whole(value: object) -> None:
    if type(value) is int and 1 <= value <= 1024:
        require_whole("count", value, 1, 1024, such_as=4)
        return
    with pytest.raises(ArgumentError) as caught:
        require_whole("count", value, 1, 1024, such_as=4)
    assert str(caught.value).endswith(", expected a whole number from 1 to 1024: give one such as 4")


Call = Callable[[runtime.Segmenter, Any], object]
_NUMPYS_BOOL = "numpy.bool" if np.__version__ >= "2" else "bool_"
CALLS: dict[str, tuple[Call, object]] = {
    "score_threshold is '0.5', a str, expected a number from 0 to 1": (
        lambda segmenter, value: segmenter(IMAGE, score_threshold=value),
        "0.5",
    ),
    "overlap_threshold is [1], a list, expected a number": (
        lambda segmenter, value: segmenter(IMAGE, overlap_threshold=value),
        [1],
    ),
    "timeout is '5', a str, expected a number of seconds from 0 to 1000000: give one such as 10, or None for": (
        lambda segmenter, value: segmenter.stream("demo:street", timeout=value),
        "5",
    ),
    "on_error is 'skip', a str, expected a function": (
        lambda segmenter, value: segmenter.stream("demo:street", value),
        "skip",
    ),
    "frames is 0, expected a whole number from 1 to": (
        lambda segmenter, value: segmenter.stream("demo:street", frames=value),
        0,
    ),
    "opacity is 'a', a str, expected a number from 0 to 1": (
        lambda segmenter, value: segmenter(IMAGE).draw(opacity=value),
        "a",
    ),
    "opacity is 2, expected a number from 0 to 1": (
        lambda segmenter, value: segmenter(IMAGE).draw(opacity=value),
        2,
    ),
    "folder is 3, expected a path": (lambda segmenter, value: segmenter(IMAGE).save(value), 3),
    "score_threshold is '1', a str": (
        lambda segmenter, value: runtime.load(segmenter.backend.artifact, score_threshold=value),
        "1",
    ),
    "threads is '2', a str, expected a whole number from 1 to 1024: give one such as 4, or None for one per core": (
        lambda segmenter, value: runtime.load(segmenter.backend.artifact, threads=value),
        "2",
    ),
    "threads is True, expected a whole number": (
        lambda segmenter, value: runtime.load(segmenter.backend.artifact, threads=value),
        True,
    ),
    "bf16 is 'no', a str, expected a bool: give True or False": (
        lambda segmenter, value: runtime.load(segmenter.backend.artifact, bf16=value),
        "no",
    ),
    f"bf16 is {np.True_!r}, a {_NUMPYS_BOOL}, expected a bool: give True or False": (
        lambda segmenter, value: runtime.load(segmenter.backend.artifact, bf16=value),
        np.True_,
    ),
    "task is array(['panoptic'": (
        lambda segmenter, value: runtime.load(segmenter.backend.artifact, task=value),
        np.array(["panoptic", "semantic"]),
    ),
    "task is array(['semantic'": (lambda segmenter, value: segmenter(IMAGE).draw(value), np.array(["semantic"] * 2)),
    "task is ['semantic'], expected panoptic, semantic, instance": (
        lambda segmenter, value: segmenter(IMAGE).to_json(value),
        ["semantic"],
    ),
    "task is 'nonsense', expected panoptic, semantic: give one of them": (
        lambda segmenter, value: segmenter(IMAGE).encode_map(value),
        "nonsense",
    ),
    "the source is array(0.5), expected a path": (
        lambda segmenter, value: segmenter.stream(value),
        np.array(0.5),
    ),
    "backend is 3, expected a name: give one of ": (
        lambda segmenter, value: runtime.load(segmenter.backend.artifact, value),
        3,
    ),
}


@pytest.mark.parametrize("message", CALLS)
def test_public_functions_name_the_argument(tiny: Path, message: str) -> None:
    call, value = CALLS[message]
    with runtime.load(tiny) as segmenter, pytest.raises(InputError) as caught:
        call(segmenter, value)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("value", [Fraction(1, 2), Decimal("0.5"), np.array(0.5), np.float16(0.5)])
def test_public_functions_take_numbers_of_every_kind(tiny: Path, value: Any) -> None:  # against the annotations
    with runtime.load(tiny, score_threshold=value) as segmenter:
        result = segmenter(IMAGE, overlap_threshold=value)
        assert np.array_equal(result.draw(opacity=value), result.draw(opacity=0.5))
        with pytest.raises(InputError, match=r"/street gives no video"):
            segmenter.stream("http://127.0.0.1:1/street", timeout=value)


def test_saving_names_arguments_and_no_options(tiny: Path, tmp_path: Path) -> None:
    with runtime.load(tiny) as segmenter:
        result = segmenter(IMAGE)
    result.save(tmp_path / "saved")
    with pytest.raises(OutputError, match=r"exists already: give overwrite=True, or another folder$"):
        result.save(tmp_path / "saved")
    (tmp_path / "street.jpg").touch()
    with pytest.raises(OutputError, match=r"street\.jpg is not a folder; choose another place$"):
        result.save(tmp_path / "street.jpg")
    with pytest.raises(
        OutputError, match=r"^cannot write x+/image_overlay\.png: File name too long; choose another place$"
    ):
        result.save("x" * 300)
    with pytest.raises(OutputError, match=r"^cannot write .*: embedded null byte; choose another place$"):
        result.save("a\0b")


class BytesPath:
    """A path whose bytes need not be UTF-8."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> bytes:
        return os.fsencode(self._path)


def test_paths_may_be_bytes_of_other_libraries(tiny: Path, tmp_path: Path) -> None:  # against the annotations
    PillowImage.fromarray(IMAGE).save(tmp_path / "street.png")
    given: Any = [BytesPath(path) for path in (tiny, tmp_path / "street.png", tmp_path / "saved")]
    model, picture, folder = given
    with runtime.load(model) as segmenter:
        for result in (segmenter(picture), *segmenter.stream(picture), *segmenter.stream([picture])):
            assert result.name == str(tmp_path / "street.png")
    assert result.save(folder)[0] == tmp_path / "saved" / "street_overlay.png"


def test_long_names_are_shortened(tiny: Path) -> None:
    for arguments in ((Path("x" * 100_000),), (tiny, "x" * 100_000)):
        with pytest.raises(PemError, match=r"xxx\.\.\.xxx") as caught:
            runtime.load(*arguments)
        assert len(str(caught.value)) < 300
