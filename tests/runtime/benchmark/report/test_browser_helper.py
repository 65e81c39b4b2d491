"""The browser that looks at our pages sees what is wrong with a page."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.helpers.browser import Browser

_HEAD = '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>body{margin:0}'


def test_what_a_page_asks_for_is_recorded(chromium: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(f'{_HEAD}</style><img src="https://example.org/a.png"><script src="b.js"></script><p>Hello')
    opened = chromium.open(page)
    assert opened.text == "Hello"
    assert sorted(opened.requests) == [(tmp_path / "b.js").as_uri(), "https://example.org/a.png"]
    page.write_text(f'{_HEAD}</style><p>Alone<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">')
    assert chromium.open(page).requests == []


def test_width_and_scheme_are_as_asked(chromium: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    style = (
        "body{background:#fff} @media (prefers-color-scheme:dark){body{background:#000}} div{width:500px;height:2000px}"
    )
    page.write_text(f"{_HEAD}{style}</style><div></div>")
    narrow = chromium.open(page, width=400, dark=True)
    picture = narrow.screenshot(tmp_path / "dark.png")
    assert (narrow.overflow, picture.shape, picture.max()) == (100, (2000, 400, 3), 0)
    assert (tmp_path / "dark.png").read_bytes().startswith(b"\x89PNG")
    wide = chromium.open(page, width=1280)
    assert (wide.overflow, wide.screenshot().shape) == (0, (2000, 1280, 3))
    assert np.array_equal(np.unique(wide.screenshot()), [255])
