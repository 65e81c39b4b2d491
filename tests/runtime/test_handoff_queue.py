"""Items go from thread to thread one at a time, in order, and nobody waits forever."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import pytest

from pem_edge.runtime.handoff_queue import Closed, HandoffQueue


def test_the_giver_waits_until_the_item_is_taken() -> None:
    handover: HandoffQueue[int] = HandoffQueue()
    given: list[int] = []

    def give() -> None:
        for item in range(5):
            handover.put(item)
            given.append(item)

    thread = threading.Thread(target=give, daemon=True)
    thread.start()
    time.sleep(0.05)
    assert given == [0]
    assert [handover.get(5) for _ in range(5)] == [0, 1, 2, 3, 4]
    thread.join(5)
    assert handover.replaced == 0


def test_a_newer_item_takes_the_place_of_one_that_waits() -> None:
    handover: HandoffQueue[int] = HandoffQueue()
    for item in range(4):
        handover.put(item, replace=True)
    assert (handover.get(), handover.replaced) == (3, 3)


def test_waiting_has_a_limit() -> None:
    with pytest.raises(TimeoutError):
        HandoffQueue[int]().get(0.01)


def test_closing_wakes_who_gives_and_who_takes() -> None:
    full: HandoffQueue[int] = HandoffQueue()
    empty: HandoffQueue[int] = HandoffQueue()
    full.put(0)
    woken: list[str] = []

    def wait(name: str, handover: HandoffQueue[int]) -> None:
        with suppress(Closed):
            handover.put(1) if name == "giver" else handover.get()
            return
        woken.append(name)

    threads = [
        threading.Thread(target=wait, args=arguments, daemon=True) for arguments in (("giver", full), ("taker", empty))
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    full.close()
    empty.close()
    for thread in threads:
        thread.join(5)
    assert sorted(woken) == ["giver", "taker"]
    with pytest.raises(Closed):
        full.get()
    with pytest.raises(Closed):
        empty.put(1)
