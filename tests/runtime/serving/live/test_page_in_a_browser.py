"""What a viewer sees: the drawing, numbers that move, and at the end that it is the end."""

from __future__ import annotations

import time

import numpy as np
import pytest

from pem_edge import runtime
from pem_edge.runtime.serving.live import Board, LivePage
from tests.helpers import browser

pytestmark = pytest.mark.skipif(browser.missing() is not None, reason=f"no browser: {browser.missing()}")


def soon(condition: object) -> None:
    assert callable(condition)
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen within 10 s")


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (400, True)])
def test_a_run_from_its_start_to_its_end(board: Board, result: runtime.Result, width: int, dark: bool) -> None:
    with browser.Browser() as chromium:
        with LivePage(board, port=0) as served:
            page = chromium.open(served.address, width, streaming=True, dark=dark)
            soon(lambda: "Waiting for the first image" in page.text)
            soon(lambda: board.status()["viewers"] == 1)
            for _ in range(5):
                board.update(result, dropped=1234)
                time.sleep(0.1)
            soon(lambda: "1,234" in page.text)
            soon(lambda: page.run("return document.getElementById('drawing').naturalWidth") == 384)
            for text in ("camera 7", "tiny.onnx in onnxruntime", "running", "inference", "red", "white", "blue"):
                assert text in page.text
            assert page.overflow == 0
            assert {address.removeprefix(served.address) for address in page.requests} == {"/stream", "/status.json"}
        soon(lambda: "The run has ended after 5 images." in page.text)
        assert "ended" in page.text
        left = page.screenshot()
    assert (np.abs(left.astype(int) - (255, 0, 0)).sum(axis=2) < 250).mean() > 0.02, "the last drawing stays"


def test_a_run_that_is_killed(board: Board) -> None:
    with browser.Browser() as chromium:
        served = LivePage(board, port=0)
        page = chromium.open(served.address, 1280, streaming=True)
        soon(lambda: "running" in page.text)
        served._server.shutdown()
        served._server.server_close()
        board.end()
        soon(lambda: "The run has ended" in page.text)


def test_names_are_text_not_markup(result: runtime.Result) -> None:
    board = Board("<img src=x onerror=document.title='caught'>", "m")
    with browser.Browser() as chromium, LivePage(board, port=0) as served:
        page = chromium.open(served.address, 400, streaming=True)
        soon(lambda: "<img src=x" in page.text)
        board.update(result, 0)
        soon(lambda: "red" in page.text)
        assert page.run("return document.querySelectorAll('img').length") == 1
        assert "caught" not in page.run("return document.title").removeprefix(board.status()["source"])
