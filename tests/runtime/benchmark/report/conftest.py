"""A browser for the tests of a module that look at pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers import browser


@pytest.fixture(scope="session")
def chromium() -> Iterator[browser.Browser]:
    """Yield a headless Chromium; tests skip where there is none."""
    if reason := browser.missing():
        pytest.skip(reason)
    with browser.Browser() as started:
        yield started
