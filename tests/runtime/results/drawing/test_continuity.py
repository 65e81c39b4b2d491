"""Instances keep their colors from frame to frame, whatever the order in which a model finds them."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pem_edge import runtime
from pem_edge.runtime.artifacts.manifest import Task
from pem_edge.runtime.results.drawing.continuity import Continuity
from pem_edge.runtime.results.regions import Regions
from pem_edge.runtime.results.segments import Segment, bounding_box
from tests.runtime.helpers.footage import Made, write_video

CAR, TRUCK = 13, 14
SIZE = (120, 400)


def frame(*boxes: tuple[int, int, int], first: int = 1) -> Regions:
    """Return things in that order, each given as (class, left, width)."""
    ids = np.zeros(SIZE, np.int32)
    for number, (_, left, width) in enumerate(boxes, first):
        ids[20:100, left : left + width] = number
    segments = [
        Segment(number, category, "", True, 0.9, int((ids == number).sum()), bounding_box(ids == number))
        for number, (category, _, _) in enumerate(boxes, first)
    ]
    return Regions(ids, segments)


def numbers(continuity: Continuity, regions: Regions) -> list[int]:
    found = continuity.numbers("panoptic", regions)
    return [found[segment.id] for segment in regions.segments]


def test_instances_that_overlap_keep_their_numbers() -> None:
    continuity = Continuity()
    assert numbers(continuity, frame((CAR, 0, 60), (CAR, 100, 60), (TRUCK, 200, 60))) == [0, 1, 0]
    moved = frame((TRUCK, 210, 60), (CAR, 110, 60), (CAR, 10, 60), (CAR, 300, 60), first=7)
    assert numbers(continuity, moved) == [0, 1, 0, 2]
    assert numbers(continuity, frame((CAR, 120, 60))) == [1]


def test_a_thing_of_another_class_is_another_thing() -> None:
    continuity = Continuity()
    numbers(continuity, frame((CAR, 0, 60), (CAR, 100, 60)))
    assert numbers(continuity, frame((TRUCK, 100, 60))) == [0]


def test_who_is_missed_for_some_frames_is_known_again_and_forgotten_later() -> None:
    continuity = Continuity()
    assert numbers(continuity, frame((CAR, 0, 60), (CAR, 100, 60))) == [0, 1]
    for _ in range(5):
        assert numbers(continuity, frame((CAR, 100, 60), (CAR, 300, 60))) == [1, 2]
    assert numbers(continuity, frame((CAR, 0, 60), (CAR, 100, 60))) == [0, 1]
    for _ in range(30):
        numbers(continuity, frame((CAR, 100, 60)))
    assert numbers(continuity, frame((CAR, 300, 60))) == [0]


def test_the_same_frame_has_the_same_numbers_again_in_any_order() -> None:
    continuity = Continuity()
    frames = [frame((CAR, 100, 60), (CAR, 0, 60)), frame((CAR, 0, 60), (CAR, 100, 60)), frame((CAR, 300, 60))]
    drawn = [numbers(continuity, each) for each in frames]
    assert drawn == [[0, 1], [1, 0], [2]]
    assert [numbers(continuity, each) for each in reversed(frames)] == drawn[::-1]


def test_another_size_starts_anew() -> None:
    continuity = Continuity()
    numbers(continuity, frame((CAR, 0, 60), (CAR, 100, 60)))
    small = Regions(np.ones((9, 9), np.int32), [Segment(1, CAR, "", True, 1.0, 81, (0, 0, 9, 9))])
    assert numbers(continuity, small) == [0]


def test_memory_is_bounded_however_long_the_video() -> None:
    continuity = Continuity()
    for index in range(200):
        numbers(continuity, frame(*((CAR, (37 * index + 45 * one) % 340, 30) for one in range(5))))
    assert len(continuity._memories["panoptic"].tracks) < 100
    assert vars(continuity).keys() == {"_lock", "_memories"}, "nothing else is kept"


def test_threads_may_draw_at_the_same_time() -> None:
    continuity, frames, failures = Continuity(), [frame((CAR, 3 * index, 60)) for index in range(40)], []

    def draw(order: list[Regions]) -> None:
        try:
            for each in order:
                numbers(continuity, each)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=draw, args=(order,)) for order in (frames, frames[::-1], frames[::2])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_frames_of_a_stream_share_one_and_pictures_have_none(tiny: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "drive.mp4", 3)
    segmenter = runtime.load(tiny)
    frames = list(segmenter.stream(video))
    assert len({id(result.continuity) for result in frames}) == 1
    assert frames[0].continuity is not None
    assert frames[0].draw().shape == frames[1].draw().shape
    assert segmenter(frames[0].image).continuity is None


def test_results_are_pickled_without_what_was_seen(tiny: Path, flag: NDArray[np.uint8]) -> None:
    large = np.repeat(np.repeat(flag, 4, axis=0), 4, axis=1)
    (first, second) = runtime.load(tiny).stream(Made(lambda index: large if index < 2 else None))
    drawn = first.draw()
    second.draw()
    copied = pickle.loads(pickle.dumps(first))
    assert copied.continuity is not None
    assert not copied.continuity._memories
    np.testing.assert_array_equal(copied.draw(), drawn)


@pytest.mark.parametrize("task", ["panoptic", "instance"])
def test_colors_stay_when_ids_change(tiny: Path, flag: NDArray[np.uint8], task: Task) -> None:
    """The tiny model's things are found in the order of their scores, which differ from frame to frame."""
    large = np.repeat(np.repeat(flag, 4, axis=0), 4, axis=1)
    moved = np.roll(large, 8, axis=1)
    (first, second) = runtime.load(tiny).stream(Made(lambda index: [large, moved, None][index]))
    colors = [result.draw(task, opacity=1, labels=False, legend=False)[100, 60].tolist() for result in (first, second)]
    assert colors[0] == colors[1]
