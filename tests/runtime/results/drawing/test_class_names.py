"""Names from foreign files are drawn in a font that has them, or else as something that can be read; never as boxes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageFont

from pem_edge.runtime.results.drawing import fonts, names, text

HIDDEN = "\u202e\u200b\u200d\ufeff\x07\x1b"


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder for fonts of a system that has none, and no fc-match."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(fonts, "_FOLDERS", (str(tmp_path),))
    monkeypatch.delenv(fonts.VARIABLE, raising=False)
    fonts._fonts.cache_clear()
    return tmp_path


def write_font(path: Path, characters: str) -> Path:
    """Write a font in which each of ``characters`` is a bar of its own width, and missing ones are a square."""
    builders, pens = (pytest.importorskip(f"fontTools.{name}") for name in ("fontBuilder", "pens.ttGlyphPen"))
    glyphs = {}
    for number, name in enumerate([".notdef", *(f"u{ord(each):x}" for each in characters)]):
        pen, right = pens.TTGlyphPen(None), 300 + 40 * number
        pen.moveTo((100, 0))
        for corner in ((100, 500), (right, 500), (right, 0)):
            pen.lineTo(corner)
        pen.closePath()
        glyphs[name] = pen.glyph()
    builder = builders.FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap({ord(each): f"u{ord(each):x}" for each in characters})
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (700, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupOS2()
    builder.setupNameTable({"familyName": "Bars", "styleName": "Regular"})
    builder.setupPost()
    builder.save(path)
    return path


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("car", "car"),
        ("traffic sign, signpost", "traffic sign"),
        (" a\n\tb ", "a b"),
        (f"{HIDDEN}ca{HIDDEN}r", "car"),
        ("Straße", "Strasse"),
        ("Łódź", "Lodz"),
        ("🚗 car 🚗", "car"),
        ("🚗", "class 7"),
        ("汽车", "class 7"),
        ("car 汽车", "class 7"),
        ("дорога", "class 7"),
        ("", "class 7"),
        (", ,", "class 7"),
        ("\udce9", "class 7"),
        ("x" * 500, "x" * 23 + "…"),
    ],
)
def test_without_other_fonts(name: str, expected: str) -> None:
    assert names.shown(name, 7) == expected


def test_a_font_that_has_the_name_is_found(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_font(bare / "NoSans.ttf", "道")
    font = write_font(bare / "Bars.ttf", "汽车")
    assert (names.shown("汽车", 1), names.shown("汽车 car", 1)) == ("汽车", "汽车 car")
    assert fonts.split("汽车 98%") == [(fonts.Face(str(font)), "汽车"), (fonts.Face(), " 98%")]
    assert names.shown("道", 2) == "道"
    assert names.shown("路", 3) == "class 3"
    monkeypatch.setattr(fonts, "_FOLDERS", ())
    monkeypatch.setenv(fonts.VARIABLE, str(font))
    assert names.shown("汽车", 1) == "汽车"
    monkeypatch.setenv(fonts.VARIABLE, str(bare))
    assert names.shown("道 汽车", 1) == "道 汽车"


def test_a_wrong_setting_is_told_and_a_damaged_font_passed_over(
    bare: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (bare / "a-sans.ttf").write_bytes(b"\x00\x01\x00\x00 no font")
    os.mkfifo(bare / "b-sans.ttf")  # to read it would hang
    write_font(bare / "bars.ttf", "汽")
    assert names.shown("汽", 1) == "汽"
    assert not caplog.messages
    monkeypatch.setenv(fonts.VARIABLE, str(bare / "none.ttf"))
    assert names.shown("car", 1) == "car"
    monkeypatch.setenv(fonts.VARIABLE, "a" * 5000)
    assert names.shown("bus", 1) == "bus"
    first, second = caplog.messages
    assert re.search(r"PEM_EDGE_FONT is '.*none\.ttf', expected a font file or a folder of fonts", first)
    assert re.search(r"PEM_EDGE_FONT is 'aaaa.*; name one, or unset it", second)
    assert len(second) < 300


@pytest.mark.usefixtures("bare")
def test_a_script_that_no_font_has_is_looked_for_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[Path] = []

    def note(place: Path) -> Iterator[fonts.Face]:
        searched.append(place)
        return iter(())

    monkeypatch.setattr(fonts, "_files", note)
    for code in range(0x4E00, 0x4E80):
        assert names.shown(chr(code), 1) == "class 1"
    assert 1 <= len(searched) <= 3


@given(st.text(max_size=80), st.integers(0, 200))
def test_what_is_shown_is_in_a_font(name: str, index: int) -> None:
    """Whatever fonts the machine has: no character of a name is drawn as the sign for a missing one."""
    shown = names.shown(name, index)
    parts = fonts.split(shown)
    assert shown.isprintable()
    assert 0 < len(shown) <= 80
    assert parts
    for face, part in parts:
        font = ImageFont.truetype(face.path, 16, face.number) if face.path else ImageFont.load_default(16)
        missing = font.getmask("\U0010ffff")
        for character in part.replace(" ", ""):
            drawn = font.getmask(character)
            assert (drawn.size, bytes(drawn)) != (missing.size, bytes(missing)), (character, face)


def test_a_line_is_as_wide_as_it_says() -> None:
    canvas = np.zeros((40, 400, 3), np.uint8)
    pen = text.Pen(canvas, (0, 0, 400, 40))
    pen.line("traffic sign 98%", 10, 20, 20, (255, 255, 255))
    pen.finish()
    columns = np.flatnonzero(canvas.any(axis=(0, 2)))
    assert columns[0] >= 9
    assert columns[-1] - 10 == pytest.approx(text.width_of("traffic sign 98%", 20), abs=3)
