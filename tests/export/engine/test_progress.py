"""Progress of phases within phases: never back, never beyond the whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pem_edge.export.engine.progress import Progress, Steps


def test_a_phase_within_a_step_counts_as_its_share_of_the_step() -> None:
    steps = Steps()
    steps.start("build", None, 4)
    steps.complete("build", 0)
    assert steps.share() == 1 / 4
    steps.start("optimize", "build", 2)
    steps.complete("optimize", 0)
    assert steps.share() == 1 / 4 + 1 / 8
    steps.start("time", "optimize", 10)
    steps.complete("time", 4)
    assert steps.share() == 1 / 4 + 1 / 8 + 1 / 16
    steps.finish("time")
    assert steps.share() == 1 / 4 + 1 / 8 + 1 / 16, "it may end early, its parent's step has not ended yet"
    steps.finish("optimize")
    steps.finish("build")
    assert steps.share() == 1


@given(st.lists(st.tuples(st.sampled_from(["start", "complete", "finish"]), st.integers(0, 4), st.integers(0, 9))))
def test_whatever_comes_it_never_goes_back(events: list[tuple[str, int, int]]) -> None:
    steps = Steps()
    before = 0.0
    for kind, depth, number in events:
        if kind == "start":
            steps.start(f"phase {depth}", f"phase {depth - 1}" if depth else None, number)
        elif kind == "complete":
            steps.complete(f"phase {depth}", number)
        else:
            steps.finish(f"phase {depth}")
        assert 0 <= before <= steps.share() <= 1
        before = steps.share()


def test_once_canceled_the_builder_is_told_to_stop() -> None:
    progress = Progress()
    progress.start("build", None, 3)
    assert progress.complete("build", 0)
    progress.cancel()
    assert not progress.complete("build", 1)
    progress.close()
