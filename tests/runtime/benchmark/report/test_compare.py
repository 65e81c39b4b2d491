"""``pem-bench compare``: what changed, whether it is more than noise, and an exit code that says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pem_edge.runtime.benchmark.comparison import changes
from pem_edge.runtime.benchmark.schema import ArtifactReport, Report
from pem_edge.runtime.cli import bench
from tests.runtime.benchmark.report import made_up

Capture = pytest.CaptureFixture[str]


def slowed(report: Report, factor: float, stage: str = "inference") -> Report:
    """Return the report with one stage of every artifact slower."""
    artifacts = tuple(_slowed(each, factor, stage) for each in report.artifacts)
    return msgspec.structs.replace(report, artifacts=artifacts)


def _slowed(artifact: ArtifactReport, factor: float, stage: str) -> ArtifactReport:
    values = {name: np.array(each.values) for name, each in artifact.stages.items()}
    values["total"] = values["total"] + (factor - 1) * values[stage]
    values[stage] = factor * values[stage]
    return msgspec.structs.replace(artifact, stages={name: made_up.times(each) for name, each in values.items()})


def renamed(report: Report, *names: str) -> Report:
    pairs = zip(report.artifacts, names, strict=True)
    return msgspec.structs.replace(
        report, artifacts=tuple(msgspec.structs.replace(each, name=name) for each, name in pairs)
    )


def compared(capture: Capture, folder: Path, before: Report, after: Report, *options: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    for name, report in (("before.json", before), ("after.json", after)):
        (folder / name).write_bytes(report.to_json())
    code = bench.main(["compare", str(folder / "before.json"), str(folder / "after.json"), *options])
    printed = capture.readouterr()
    return code, printed.out, printed.err


def test_a_slower_stage_is_found() -> None:
    found = changes.compare(made_up.report(2), slowed(made_up.report(2, seed=1), 1.5))
    for artifact in found.artifacts:
        assert {each.stage: each.verdict for each in artifact.stages} == {
            "decode": "same", "preprocess": "same", "inference": "slower", "postprocess": "same", "total": "slower"
        }  # fmt: skip
        assert artifact.stage("inference").ratio.estimate == pytest.approx(1.5, rel=0.03)
    back = changes.compare(slowed(made_up.report(2), 1.5), made_up.report(2, seed=1))
    assert {artifact.stage("total").verdict for artifact in back.artifacts} == {"faster"}


def test_another_run_of_the_same_is_no_change() -> None:
    found = changes.compare(made_up.report(3), made_up.report(3, seed=1))
    assert {each.verdict for artifact in found.artifacts for each in artifact.stages} == {"same"}
    assert found.differences == ()
    assert found.machine
    assert found.machine.estimate == pytest.approx(1, abs=0.02)


def test_artifacts_are_matched_by_name() -> None:
    before, after = renamed(made_up.report(3), "a", "b", "c"), renamed(made_up.report(3), "b", "a", "d")
    found = changes.compare(before, after)
    assert [(each.name, each.before) for each in found.artifacts] == [("b", "b"), ("a", "a")]
    assert found.artifacts[0].stage("total").verdict == "faster"
    assert (found.appeared, found.disappeared) == (("d",), ("c",))


def test_one_each_is_compared_whatever_the_names() -> None:
    found = changes.compare(renamed(made_up.report(1), "a"), renamed(made_up.report(1), "b"))
    assert [(each.name, each.before) for each in found.artifacts] == [("b", "a")]
    assert (found.appeared, found.disappeared) == ((), ())


def test_a_stage_that_takes_no_time_has_no_ratio() -> None:
    report = slowed(made_up.report(1), 0.0, "preprocess")
    found = changes.compare(report, report)
    assert [each.stage for each in found.artifacts[0].stages] == ["decode", "inference", "postprocess", "total"]


def test_what_else_differs_is_listed_first(capsys: Capture, tmp_path: Path) -> None:
    before = made_up.report(1)
    here = msgspec.structs.replace(before.machine, cpu="Another\x1b[31m", versions={"onnxruntime": "1.24.0"})
    artifact = msgspec.structs.replace(before.artifacts[0], settings={"threads": 4})
    after = msgspec.structs.replace(before, machine=here, artifacts=(artifact,))
    found = {(each.of, each.what): (each.before, each.after) for each in changes.compare(before, after).differences}
    assert found == {
        ("machine", "CPU"): (before.machine.cpu, "Another\x1b[31m"),
        ("machine", "onnxruntime"): ("1.23.2", "1.24.0"),
        ("machine", "pem-edge"): ("0.1.0", None),
        ("machine", "python"): ("3.11.7", None),
        (artifact.name, "threads"): ("2", "4"),
    }
    code, out, err = compared(capsys, tmp_path, before, after)
    assert (code, err) == (0, "")
    assert out.startswith("Not alike")
    assert "The machine or its software is another one (CPU, pem-edge, python, onnxruntime): this" in " ".join(
        out.split()
    )
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 80


def test_another_precision_is_named(capsys: Capture, tmp_path: Path) -> None:
    """Where the backend computes in another one, and where the artifact has another one and the backend has not."""
    (artifact,) = made_up.report(1).artifacts
    before, bf16, int8 = (
        msgspec.structs.replace(artifact, precision=own, settings={"precision": computed})
        for own, computed in (("fp32", "f32"), ("fp32", "bf16"), ("int8", "f32"))
    )
    for after, precisions in ((bf16, "f32 before, bf16 now"), (int8, "fp32 before, int8 now")):
        earlier, later = (made_up.report(1, artifacts=(each,)) for each in (before, after))
        _, out, _ = compared(capsys, tmp_path, earlier, later)
        assert f"is another one ({precisions})" in " ".join(out.split())


@pytest.mark.parametrize(
    ("factor", "options", "expected"),
    [(1.5, ["5%"], 1), (1.5, ["60"], 0), (0.7, ["5%"], 0), (1.0, ["0%"], 0), (1.5, ["5%", "--stage", "decode"], 0),
     (1.5, ["40%", "--stage", "inference"], 1)],
)  # fmt: skip
def test_fail_if_slower(capsys: Capture, tmp_path: Path, factor: float, options: list[str], expected: int) -> None:
    after = slowed(made_up.report(1, seed=1), factor)
    code, out, err = compared(capsys, tmp_path, made_up.report(1), after, "--fail-if-slower", *options)
    assert code == expected
    assert "times" in out
    assert err.count("\n") == expected
    if expected:
        assert err.startswith("pem-bench compare: pem-stdc0-512x1024.onnx: ")
        assert "is slower beyond noise, 1." in err


def test_json_and_files(capsys: Capture, tmp_path: Path) -> None:
    files = [tmp_path / "changes.md", tmp_path / "changes.json"]
    options = ["--json", *(f"-o{path}" for path in files)]
    before, after = made_up.report(2), slowed(made_up.report(2, seed=1), 1.5)
    code, out, err = compared(capsys, tmp_path, before, after, "--fail-if-slower", "5%", *options)
    assert (code, err.count("\n")) == (1, 2)
    printed = json.loads(out)
    assert len(printed.pop("errors")) == 2
    assert printed == json.loads(files[1].read_text())
    assert msgspec.convert(printed, changes.Changes).artifacts[0].stage("total").verdict == "slower"
    page = files[0].read_text()
    assert page.startswith("# Latency of ")
    assert "| inference |" in page
    code, out, err = compared(capsys, tmp_path, before, after, *options)
    assert (code, out) == (1, "")
    assert f"{files[0]} exists already: add --overwrite" in err
    assert compared(capsys, tmp_path, before, after, *options, "--overwrite")[0] == 0


def other_version(report: Report) -> bytes:
    record: dict[str, Any] = msgspec.to_builtins(report)
    return json.dumps(record | {"schema_version": 99}).encode()


def without_values(report: Report) -> bytes:
    record: dict[str, Any] = msgspec.to_builtins(report)
    for times in record["artifacts"][0]["stages"].values():
        times["values"] = []
    return json.dumps(record).encode()


BAD = {
    "does not exist, expected a report of pem-bench": None,
    "is not a report of pem-bench": lambda _: b'{"schema_version": 1}',
    "is not a report of pem-bench (": lambda _: b"\xff\xfe",
    "has report schema 99, this pem-edge reads up to 2": other_version,
    "times cannot be compared: expected at least two": without_values,
}


@pytest.mark.parametrize("message", BAD)
def test_bad_reports_are_one_line(message: str, capsys: Capture, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_bytes(made_up.report(1).to_json())
    if (make := BAD[message]) is not None:
        bad.write_bytes(make(made_up.report(1)))
    assert bench.main(["compare", str(good), str(bad), "--json"]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


def test_a_byte_order_mark_is_no_part_of_a_report(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(made_up.report(1).to_json().decode(), "utf-8-sig")
    assert bench.main(["compare", str(path), str(path)]) == 0
    assert capsys.readouterr().err == ""


def test_nothing_in_common_is_no_success(capsys: Capture, tmp_path: Path) -> None:
    before, after = renamed(made_up.report(2), "a", "b"), renamed(made_up.report(2), "c", "d")
    assert compared(capsys, tmp_path, before, after)[0] == 0
    code, _, err = compared(capsys, tmp_path, before, after, "--fail-if-slower", "5%")
    assert code == 1
    assert "have no artifact in common: compare runs of the same files" in err


@pytest.mark.parametrize("options", [["--fail-if-slower", "x"], ["-o", "x.html"], ["--fail-if-slower", "-5%"]])
def test_wrong_usage(options: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        bench.main(["compare", "a.json", "b.json", *options])
    assert caught.value.code == 2
    assert capsys.readouterr().out == ""


def test_a_stage_that_is_not_there(capsys: Capture, tmp_path: Path) -> None:
    report = made_up.report(1)
    code, _, err = compared(capsys, tmp_path, report, report, "--fail-if-slower", "5%", "--stage", "nap")
    assert code == 1
    assert "in both reports, there is no 'nap': choose from decode, preprocess, inference, postprocess, total" in err
