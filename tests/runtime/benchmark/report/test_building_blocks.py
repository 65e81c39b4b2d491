"""Numbers, names, axes, colors and elements that every form of a report is made of."""

from __future__ import annotations

from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pem_edge.runtime.benchmark.report import wording
from pem_edge.runtime.benchmark.report.html import colors, element, scale, svg
from pem_edge.runtime.benchmark.report.html.scale import Scale

NUMBERS = st.floats(1e-6, 1e9)


@given(st.text())
def test_names_stay_on_one_line_and_steer_nothing(text: str) -> None:
    shown = wording.printable(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()


def test_what_would_steer_is_shown() -> None:
    assert wording.printable("a\x1b[31m\n\u202eb") == "a\\x1b[31m\\n\\u202eb"


@given(st.text(), st.integers(1, 60))
def test_shortened_names_keep_both_ends(text: str, width: int) -> None:
    short = wording.shortened(text, width)
    assert len(short) <= max(width, 1)
    assert short == text if len(text) <= width else short[0] in (text[0], "…")


@given(NUMBERS)
def test_figures_keep_three_digits_or_their_unit(value: float) -> None:
    for shown, unit in (
        (wording.milliseconds(value), 1.0),
        (wording.per_second(value), 1.0),
        (wording.giga(value * 1e9), 1),
    ):
        assert float(shown) * unit == pytest.approx(value, rel=0.006, abs=0.0051)


def test_short_times_are_not_nothing() -> None:
    assert [wording.milliseconds(value) for value in (0.004, 0.0996, 0.25, 12.34)] == ["0.004", "0.100", "0.25", "12.3"]


@given(st.floats(0, 1))
def test_percentages(share: float) -> None:
    assert float(wording.percent(share).removesuffix(" %")) == pytest.approx(100 * share, abs=0.51)


@given(NUMBERS, NUMBERS, st.integers(1, 8))
def test_ticks_are_round_few_and_inside(low: float, length: float, most: int) -> None:
    axis = Scale(low, low + max(length, low * 1e-6))
    ticks = axis.ticks(most)
    assert len(ticks) <= most + 1
    room = 1e-6 * (axis.high - axis.low)
    assert all(axis.low - room <= tick <= axis.high + room for tick in ticks)
    if len(ticks) > 2:
        assert np.allclose(np.diff(ticks), ticks[1] - ticks[0])


@given(st.integers(2, 400))
def test_ticks_of_whole_numbers_are_whole(rounds: int) -> None:
    ticks = Scale(1, rounds, whole=True).ticks()
    assert len(ticks) >= 2
    assert all(tick == int(tick) for tick in ticks)


@given(st.lists(st.floats(1e-3, 1e5), min_size=1, max_size=9), st.floats(1e-3, 10))
def test_an_axis_holds_its_values_in_order(values: list[float], least: float) -> None:
    axis = scale.around(values, least)
    assert axis.high - axis.low >= least * (1 - 1e-6)
    shares = [axis.position(value) for value in sorted(values)]
    assert shares == sorted(shares)
    assert axis.low <= min(values) <= max(values) <= axis.high


def test_text_never_becomes_markup() -> None:
    hostile = '</script><script>"&'
    made = element.tag("p", hostile, element.tag("b", hostile), title=hostile, aria_label="x", width=None)
    parsed = ElementTree.fromstring(made)
    assert (parsed.text, parsed[0].tag, parsed[0].text, parsed.attrib) == (
        hostile, "b", hostile, {"title": hostile, "aria-label": "x"}
    )  # fmt: skip


def test_embedded_json_cannot_end_its_script() -> None:
    made = element.embedded_json(b'{"a": "</script><!--"}', "report")
    assert made.count("<") == 2
    assert element.tag("meta", charset="utf-8") == '<meta charset="utf-8">'


def test_a_histogram_is_drawn_to_scale() -> None:
    assert svg.steps([0.0, 1.0]) == "M0.0 1000.0L0.0 1000.0L500.0 1000.0L500.0 0.0L1000.0 0.0L1000.0 1000.0Z"


# Colors ------------------------------------------------------------------------------------------------------------

_SEEN_WITH = {  # Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB
    "no deficiency": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
_TO_LMS = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
           [0.0883024619, 0.2817188376, 0.6299787005]]  # fmt: skip
_TO_OKLAB = [[0.2104542553, 0.793617785, -0.0040720468], [1.9779984951, -2.428592205, 0.4505937099],
             [0.0259040371, 0.7827717662, -0.808675766]]  # fmt: skip


def oklab(color: str, seen: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a color in Oklab, see https://bottosson.github.io/posts/oklab."""
    channels = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.asarray(_TO_OKLAB) @ np.cbrt(np.asarray(_TO_LMS) @ np.clip(seen @ linear, 0, 1)))


@pytest.mark.parametrize("seen", _SEEN_WITH)
@pytest.mark.parametrize(("palette", "paper"), [(colors.LIGHT, "#ffffff"), (colors.DARK, "#15181c")])
def test_colors_are_told_apart(palette: tuple[str, ...], paper: str, seen: str) -> None:
    """0.02 in OKLab is what can just be seen side by side."""
    places = [oklab(color, np.asarray(_SEEN_WITH[seen])) for color in palette]
    assert min(np.linalg.norm(a - b) for a, b in combinations(places, 2)) > 0.1
    assert min(colors.contrast(color, paper) for color in palette) >= 3, "WCAG 1.4.11"
    assert min(colors.contrast(colors.ink(color), color) for color in palette) >= 4.5, "WCAG 1.4.3"


def test_contrast_is_wcags() -> None:
    assert colors.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert colors.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert colors.css_class(1) == colors.css_class(1 + len(colors.LIGHT)) == "artifact-1"


@pytest.mark.parametrize(
    ("paths", "expected"),
    [(["/a/b/x.onnx", "/a/b/y.onnx"], ["x.onnx", "y.onnx"]), (["/a/b/x.onnx", "/a/c/x.onnx"], ["b/x.onnx", "c/x.onnx"]),
     (["demo"], ["demo"]), (["a", "b/a"], ["a", "b/a"]), (["a/"], ["a/"]), ([], [])],
)  # fmt: skip
def test_paths_are_called_by_their_ends(paths: list[str], expected: list[str]) -> None:
    assert wording.tails(paths) == expected


@given(st.lists(st.text("ab/", min_size=1, max_size=6), unique=True, max_size=4))
def test_called_so_they_are_told_apart(paths: list[str]) -> None:
    found = wording.tails(paths)
    assert len({*found, ""}) == len(found) + 1
    assert all(path.endswith(tail) for path, tail in zip(paths, found, strict=True))
