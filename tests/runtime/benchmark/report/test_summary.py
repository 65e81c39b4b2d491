"""The words of a report say what its figures say."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest

from pem_edge.runtime.benchmark.measures.limits import roofline
from pem_edge.runtime.benchmark.report import markdown, ranking, summary, tables, text, wording
from pem_edge.runtime.benchmark.report.html import page
from pem_edge.runtime.benchmark.schema import Accuracy, Offline, Report, parse
from tests.runtime.benchmark.report import made_up


def said(report: Report) -> str:
    return " ".join(wording.plain(paragraph).strip() for paragraph in summary.summary(report))


def lead(report: Report) -> str:
    return wording.plain(summary.lead(report))


def scored(report: Report, *scores: float | None, images: int = 90) -> Report:
    """Return the report with these PQs."""
    artifacts = tuple(
        msgspec.structs.replace(
            each, accuracy=None if pq is None else Accuracy(dataset="streets", images=images, pq=pq)
        )
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
    assert "pem-stdc0-512x1024.onnx takes 20.5 ms per image in the median, 48.3 images per second on average" in text
    assert "Its time goes to inference 75 %, postprocess 12 % and preprocess 8.0 %." in text
    assert "runs at 52 % of the best speed that this machine allows: it takes 15.0 ms" in text
    assert "and its nodes need at least 7.74 ms." in text
    assert "What bounds its nodes, by their time: compute 50 %, memory 30 % and overhead 20 %." in text
    assert "Overhead: they take more than 4 times their limits, mostly because there are many small ones" in text
    assert "doubtful" not in text
    assert "GMAC" not in lead(made_up.report(1))


def test_what_is_faster_than_its_limit_has_a_reason() -> None:
    report = made_up.report(1)
    (artifact,) = report.artifacts
    assert artifact.rate
    assert "faster than its limit" not in lead(report)
    rate = msgspec.structs.replace(artifact.rate, fraction=1.1, doubt=roofline.doubt(1.1))
    beaten = msgspec.structs.replace(report, artifacts=(msgspec.structs.replace(artifact, rate=rate),))
    assert "Something in pem-stdc0-512x1024.onnx was faster than its limit: the limit was measured while" in lead(
        beaten
    )
    assert "Above 100 % is what was faster than its limit" in tables.rates(beaten).note
    assert "Above 100 %" not in tables.rates(report).note


def test_limits_of_version_1_are_not_passed_off_as_such() -> None:
    """There, the fraction was that of a convolution's rate."""
    (artifact,) = made_up.report(1).artifacts
    assert artifact.rate
    rate = msgspec.structs.replace(artifact.rate, limit=None, counted=None, fraction=1.13)
    old = made_up.report(1, artifacts=(msgspec.structs.replace(artifact, rate=rate),))
    written = json.loads(old.to_json()) | {"schema_version": 1}
    read = parse(json.dumps(written).encode(), "old.json")
    for shown in (said(read), text.report(read), page.report(read)):
        assert "113 %" not in shown
    assert "best speed" not in said(read)


@pytest.mark.parametrize(
    ("median", "noisy", "reason"),
    [
        (15.0, False, None),
        (15.0, True, "the times of inference vary much"),
        (40.0, False, "the nodes took 15.0 ms in the profile, inference 40.0 ms in the median"),
        (7.0, False, "the nodes took 15.0 ms in the profile, inference 7.00 ms in the median"),
    ],
)
def test_what_bounds_nodes_is_doubted_where_the_machine_was_busy(
    median: float, noisy: bool, reason: str | None
) -> None:
    report = made_up.report(1)
    (artifact,) = report.artifacts
    inference = msgspec.structs.replace(artifact.stages["inference"], p50=median, noisy=noisy)
    artifact = msgspec.structs.replace(artifact, stages=artifact.stages | {"inference": inference})
    report = msgspec.structs.replace(report, artifacts=(artifact,))
    for shown in (said(report), " ".join(text.report(report).split()), markdown.report(report), page.report(report)):
        assert ("doubtful" in shown) is (reason is not None)
        assert reason is None or f"This is doubtful: {reason}. If the machine was busy" in shown


@pytest.mark.parametrize(
    ("median", "mean", "named"), [(15.0, 18.0, False), (18.0, 15.0, False), (18.0, 18.0, True), (14.0, 16.0, True)]
)
def test_the_typical_time_is_named_where_it_is_no_other_that_is_shown(median: float, mean: float, named: bool) -> None:
    report = made_up.report(1)
    (artifact,) = report.artifacts
    inference = msgspec.structs.replace(artifact.stages["inference"], p50=median, mean=mean)
    artifact = msgspec.structs.replace(artifact, stages=artifact.stages | {"inference": inference})
    shown = said(msgspec.structs.replace(report, artifacts=(artifact,)))
    assert ("15.0 ms typically (the mean without the fastest and the slowest fifth)" in shown) is named


def test_an_interrupted_run_is_called_so_first() -> None:
    report = made_up.report(2, interrupted=True)
    sentence = "Interrupted: this is what was measured in 40 rounds, the rest is missing."
    assert lead(report).startswith(sentence)
    for shown in (" ".join(text.report(report).split()), markdown.report(report), page.report(report)):
        assert sentence in shown
    assert "Interrupted" not in said(made_up.report(2))


def test_bfloat16_is_named_and_explained() -> None:
    report = made_up.report(2, names=["a", "b"])
    artifacts = tuple(msgspec.structs.replace(each, settings={"precision": "bf16"}) for each in report.artifacts)
    shown = wording.plain(summary.artifacts(msgspec.structs.replace(report, artifacts=artifacts)))
    assert "a (FP32 computed in BF16, in onnxruntime) and b (INT8 with the rest in BF16, in onnxruntime)" in shown
    assert "; BF16, bfloat16, is 16-bit floating point" in shown
    assert "BF16" not in said(report)


def test_speed_against_accuracy() -> None:
    text = lead(scored(paced(20, 30, 40), 50, 48, 54))
    assert text.startswith("a is the fastest with single images: ")
    assert "followed by b with " in text
    assert 'c is the most accurate: PQ 54.0 on 90 images of the dataset "streets"' in text
    assert "times the speed is worth 4.0 points of PQ, else c. b gains nothing: another is at least as fast" in text


def test_the_fastest_and_most_accurate_is_to_be_shipped() -> None:
    assert 'b is the most accurate, too (PQ 55.0 on 90 images of the dataset "streets"): ship it.' in said(
        scored(paced(30, 20, 40), 50, 55, 55)
    )


@pytest.mark.parametrize("order", [(20.0, 20.0, 40.0), (40.0, 20.0, 20.0)])
def test_what_is_alike_within_noise_is_said_to_be(order: tuple[float, ...]) -> None:
    """Whether the first is among them or not."""
    text = lead(scored(paced(*order), 50, 52, 51))
    alike = {name for name, typical in zip("abc", order, strict=True) if typical == 20}
    first, second = text.split(" are the fastest with single images, alike within noise: ")[0].split(" and ")
    assert {first, second} == alike
    assert "b is the most accurate, too" in text


def test_what_is_alike_in_both_is_said_to_be() -> None:
    assert 'a and b are the most accurate, too (PQ 50.0 on 90 images of the dataset "streets"): ship either.' in said(
        scored(paced(20, 20, 30), 50, 50, 50)
    )


def test_few_images_cannot_tell_small_differences_apart() -> None:
    """So they are no reason to ship one or the other."""
    text = lead(scored(paced(20, 28), 51.8, 53.1, images=24))
    assert 'The PQ of b is 53.1, that of a 51.8 on 24 images of the dataset "streets", too few to tell them' in text
    assert "times as fast, it looks like the one to ship, unless more images show a loss" in text
    assert text.endswith("On 24 images alone, small differences of PQ are chance. ")
    assert "if 1.40 times the speed is worth 1.3 points of PQ, else" in lead(scored(paced(20, 28), 51.8, 53.1))
    level = lead(scored(paced(20, 20), 51.8, 53.1, images=24))
    assert "a and b are the most accurate, too" in level
    assert "nothing here speaks for one of them" in level


@pytest.mark.parametrize(
    ("typical", "scores", "advice"),
    [((20, 28), (50, 60), "If these figures hold, ship a if"), ((20, 28), (60, 50), "so far it looks like the one")],
)
def test_advice_is_weaker_where_there_are_doubts(
    typical: tuple[float, float], scores: tuple[float, float], advice: str
) -> None:
    found = scored(paced(*typical), *scores)
    drifted = msgspec.structs.replace(found, reference_work=made_up.times([7.0] * 20 + [5.0] * 20))
    assert advice not in lead(found)
    assert advice in lead(drifted)
    assert "The machine itself became 29 % faster" in lead(drifted)


@pytest.mark.parametrize(
    ("turns", "contradicts"), [((26.0, 25.0, 27.0, 26.0), True), ((26.0, 20.9, 27.0, 26.0), False), ((), False)]
)
def test_a_scenario_in_which_another_is_faster_is_named(turns: tuple[float, ...], contradicts: bool) -> None:
    found = paced(20, 28)
    rates = ((20.0, (20.0, 21.0, 19.0, 20.0)), (26.0, turns))
    artifacts = tuple(
        msgspec.structs.replace(
            each,
            scenarios=msgspec.structs.replace(each.scenarios, offline=Offline(batch=1, fps=fps, images=9, turns=its)),
        )
        for each, (fps, its) in zip(found.artifacts, rates, strict=True)
    )
    said_of_it = "Not so with all images there from the start: there, b is faster (26.0 against 20.0 images per second)"
    assert (said_of_it in lead(msgspec.structs.replace(found, artifacts=artifacts))) is contradicts


def test_what_a_verdict_needs_is_explained_before_it() -> None:
    text = wording.plain(summary.artifacts(made_up.report(2, names=["a", "b"])))
    assert text == (
        "An artifact is a model as it is deployed. Here: a (FP32, in onnxruntime) and b (INT8, in onnxruntime). FP32 "
        "is 32-bit floating point; INT8 is 8-bit integers; PQ, panoptic quality, says how well segments and their "
        "classes match the labels, 100 at best."
    )
    assert "PQ" not in wording.plain(summary.artifacts(made_up.without(made_up.report(2), "accuracy")))


def test_rounding_is_no_gain_in_accuracy() -> None:
    report = scored(paced(20, 30), 50.01, 50.04)
    assert [name.text for name in ranking.worth_shipping(report)] == ["a"]


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
