"""A live page's numbers are the run's, and drawings are made for viewers only."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from pem_edge import runtime
from pem_edge.runtime.artifacts.manifest import Task
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.serving.live import Board
from pem_edge.runtime.versioned_json import to_json


def status(board: Board) -> Any:
    """Return the board's state as the page reads it."""
    return json.loads(to_json(board.status()))


def test_numbers(board: Board, result: runtime.Result) -> None:
    assert status(board)["fps"] == 0
    for index in range(5):
        board.update(result, dropped=2 * index)
        time.sleep(0.02)
    found = status(board)
    assert (found["source"], found["model"], found["running"]) == ("camera 7", "tiny.onnx in onnxruntime", True)
    assert (found["frames"], found["dropped"], found["viewers"]) == (5, 8, 0)
    assert 1 < found["fps"] <= 50
    assert found["milliseconds"] == pytest.approx(dict(result.milliseconds))
    assert [(one["name"], one["color"], one["count"]) for one in found["classes"]] == [
        (segment.label, {"red": "#ff0000", "white": "#ffffff", "blue": "#0000ff"}[segment.label], 1)
        for segment in sorted(result.segments, key=lambda segment: -segment.area)
    ]
    assert sum(one["share"] for one in found["classes"]) == pytest.approx((result.panoptic > 0).mean())


@pytest.mark.parametrize(
    ("task", "expected"),
    [("semantic", [("red", 1, 1 / 3), ("white", 1, 1 / 3), ("blue", 1, 1 / 3)]), ("instance", [("red", 1, 1 / 3)])],
)
def test_classes_are_those_of_the_task(
    board: Board, result: runtime.Result, task: Task, expected: list[tuple[str, int, float]]
) -> None:
    def closed() -> Any:
        raise BackendError("the model is closed")

    shown = replace(result, task=task)
    board.update(shown, dropped=0)
    found = {(one["name"], one["count"], round(30 * one["share"])) for one in status(board)["classes"]}
    assert found == {(name, count, round(30 * share)) for name, count, share in expected}
    object.__setattr__(shown, "outputs", closed)
    assert shown.draw(legend=False).shape == result.image.shape  # what a viewer still sees after the run


def test_the_pace_falls_while_nothing_comes(board: Board, result: runtime.Result) -> None:
    for _ in range(3):
        board.update(result, 0)
        time.sleep(0.01)
    before = status(board)["fps"]
    time.sleep(0.3)
    assert status(board)["fps"] < before / 2


def test_nothing_is_drawn_while_nobody_watches(
    board: Board, result: runtime.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = threading.Event()
    draw = runtime.Result.draw

    def noted(shown: runtime.Result, *, legend: bool) -> object:
        drawn.set()
        return draw(shown, legend=legend)

    monkeypatch.setattr(runtime.Result, "draw", noted)
    board.update(result, 0)
    assert not drawn.wait(0.1)
    with board.watch():
        board.update(result, 0)
        found = board.wait_for_drawing(0)
    assert found is not None
    number, jpeg = found
    assert number >= 1
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert np.abs(picture[..., ::-1].astype(int) - draw(result, legend=False)).mean() < 12


def test_the_end_wakes_who_waits_for_a_drawing(board: Board) -> None:
    found: list[object] = []
    viewer = threading.Thread(target=lambda: found.append(board.wait_for_drawing(0)))
    viewer.start()
    board.end()
    viewer.join(5)
    assert found == [None]
    assert status(board)["running"] is False
