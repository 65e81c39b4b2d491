"""The words of a report say what its figures say."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from pem_edge.runtime.benchmark.report import summary, wording
from pem_edge.runtime.benchmark.schema import Accuracy, Report
from tests.runtime.benchmark.report import made_up


def said(report: Report) -> str:
    return " ".join(wording.plain(paragraph).strip() for paragraph in summary.summary(report))


def scored(report: Report, *scores: float | None) -> Report:
    """Return the report with these PQs."""
    artifacts = tuple(
        msgspec.structs.replace(each, accuracy=None if pq is None else Accuracy(dataset="streets", images=9, pq=pq))
        for each, pq in zip(report.artifacts, scores, strict=True)
    )
    return msgspec.structs.replace(report, artifacts=artifacts)


def paced(*typical: float) -> Report:
    """Artifacts a, b, c of these milliseconds; noise is 2 %."""
    rng = np.random.default_rng(1)
    pace = 1 + 0.02 * np.abs(rng.standard_normal(60))
    artifacts = tuple(made_up.artifact(name, each, pace, rng) for name, each in zip("abc", typical, strict=False))
    comparisons = tuple(made_up.comparison(artifacts[0], each, "total") for each in artifacts[1:])
    return msgspec.structs.replace(made_up.report(1), artifacts=artifacts, comparisons=comparisons)


def test_one_artifact() -> None:
    text = said(made_up.report(1))
    assert "pem-stdc0-512x1024.onnx takes 20.5 ms per image (48.3 FPS)" in text
    assert "Its time goes to inference 75 %, postprocess 12 % and preprocess 8.0 %." in text
    assert "62 % of the rate of a large convolution on this machine (1600 of 2600 GMAC/s)" in text


def test_speed_against_accuracy() -> None:
    text = said(scored(paced(20, 30, 40), 50, 48, 54))
    assert text.startswith("a is the fastest: ")
    assert "followed by b with " in text
    assert "c is the most accurate: PQ 54.0 on 9 images of streets" in text
    assert "times the speed is worth 4.0 points of PQ, else c. b gains nothing: another is at least as fast" in text


def test_the_fastest_and_most_accurate_is_to_be_shipped() -> None:
    assert "b is the most accurate, too (PQ 55.0 on 9 images of streets): ship it." in said(
        scored(paced(30, 20, 40), 50, 55, 55)
    )


@pytest.mark.parametrize("order", [(20.0, 20.0, 40.0), (40.0, 20.0, 20.0)])
def test_what_is_alike_within_noise_is_said_to_be(order: tuple[float, ...]) -> None:
    """Whether the first is among them or not."""
    text = said(scored(paced(*order), 50, 52, 51))
    alike = {name for name, typical in zip("abc", order, strict=True) if typical == 20}
    first, second = text.split(" are the fastest, alike within noise: ")[0].split(" and ")
    assert {first, second} == alike
    assert "b is the most accurate, too" in text


def test_what_is_alike_in_both_is_said_to_be() -> None:
    assert "a and b are the most accurate, too (PQ 50.0 on 9 images of streets): ship either." in said(
        scored(paced(20, 20, 30), 50, 50, 50)
    )


def test_rounding_is_no_gain_in_accuracy() -> None:
    report = scored(paced(20, 30), 50.01, 50.04)
    assert [name.text for name in summary.worth_shipping(report)] == ["a"]


def test_doubts() -> None:
    report = made_up.report(2, rounds=6)
    assert "Only 6 rounds were measured" in said(report)
    assert "Only 1 round was measured" in said(msgspec.structs.replace(report, rounds=1))
    assert "vary much" not in said(report)
    noisy = report.artifacts[1]
    stages = noisy.stages | {"total": msgspec.structs.replace(noisy.stages["total"], noisy=True)}
    noisy = msgspec.structs.replace(noisy, stages=stages)
    text = said(msgspec.structs.replace(report, artifacts=(report.artifacts[0], noisy)))
    assert f"The times of {noisy.name} vary much" in text
    assert "Accuracy was not measured" in said(made_up.without(report, "accuracy"))


@pytest.mark.parametrize(("factor", "said_of_it"), [(1.2, "became 20 % slower"), (0.8, "became 20 % faster")])
def test_a_machine_that_drifts_is_told(factor: float, said_of_it: str) -> None:
    values = [7.0] * 20 + [7.0 * factor] * 20
    assert said_of_it in said(made_up.report(2, reference_work=made_up.times(values)))
    assert "The machine itself" not in said(made_up.report(2, reference_work=made_up.times([7.0] * 40)))


def test_nothing_but_stages_is_enough() -> None:
    report = made_up.without(made_up.report(2), "accuracy", "rate", "memory", "cold_start", "profile")
    assert "is the fastest" in said(msgspec.structs.replace(report, reference_work=None))
