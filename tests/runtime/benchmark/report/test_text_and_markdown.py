"""Reports on a terminal and in a pull request: every figure, 80 columns, and nothing of a name becomes markup."""

from __future__ import annotations

import re

import msgspec
import pytest

from pem_edge.runtime.benchmark.report import markdown, text, wording
from pem_edge.runtime.benchmark.schema import Report
from tests.runtime.benchmark.report import made_up
from tests.runtime.benchmark.report.made_up import HOSTILE, LONG


def test_every_figure_is_on_the_terminal() -> None:
    report = made_up.report(3)
    lines = text.report(report).splitlines()
    for number, artifact in enumerate(report.artifacts, 1):
        total = artifact.stages["total"]
        row = next(line for line in lines if line.startswith(f"{number} ") and "FPS" not in line)
        for value in (total.p50, total.p90, total.p99):
            assert wording.milliseconds(value) in row
        assert wording.per_second(artifact.fps) in row
        assert artifact.memory
        assert artifact.rate
        for part in (wording.size(artifact.memory.host), wording.percent(artifact.rate.fraction)):
            assert any(part in line and line.startswith(f"{number} ") for line in lines)
        assert artifact.profile
        for layer in artifact.profile.layers:
            ending = f"{wording.milliseconds(layer.limit or 0)} {wording.percent(layer.fraction)} {layer.bound}".split()
            assert any(line.split()[-len(ending) :] == ending for line in lines)
        for stage in artifact.stages.values():
            assert any(wording.milliseconds(stage.p50) in line for line in lines if line.startswith(f"{number} "))
    assert any("1.40 slower" in line and line.endswith("1.39 to 1.41") for line in lines)


def test_noise_is_flagged() -> None:
    report = made_up.report(1)
    artifact = report.artifacts[0]
    total = msgspec.structs.replace(artifact.stages["total"], cv=0.234, noisy=True)
    artifact = msgspec.structs.replace(artifact, stages=artifact.stages | {"total": total})
    assert "23 % !" in text.report(msgspec.structs.replace(report, artifacts=(artifact,)))
    assert "%  !" not in text.report(report)


@pytest.mark.parametrize("names", [LONG[:1], LONG[:3], LONG, HOSTILE])
def test_80_columns_are_enough(names: list[str]) -> None:
    shown = text.report(made_up.report(len(names), names=names))
    assert max(map(len, shown.splitlines())) <= 80
    assert all(line.isprintable() for line in shown.splitlines())


def test_shortened_names_of_layers_stay_distinct() -> None:
    report = made_up.report(1)
    (artifact,) = report.artifacts
    assert artifact.profile
    layers = tuple(
        msgspec.structs.replace(layer, name=f"pixel_decoder.layers.{i}.attention.deformable.operator.projection/Conv")
        for i, layer in enumerate(artifact.profile.layers)
    )
    artifact = msgspec.structs.replace(artifact, profile=msgspec.structs.replace(artifact.profile, layers=layers))
    rows = [line.split()[0] for line in text.report(msgspec.structs.replace(report, artifacts=(artifact,))).splitlines()
            if line.startswith("pixel_decoder")]  # fmt: skip
    assert len(set(rows)) == len(rows) == len(layers)
    assert all("…" in row for row in rows)


def test_what_is_not_known_is_left_out() -> None:
    report = made_up.without(made_up.report(2), "accuracy", "rate", "profile")
    for shown in (text.report(report), markdown.report(report)):
        assert "Accuracy." not in shown
        assert "How close to the machine" not in shown
        assert "Costliest layers" not in shown
        assert "Memory and cold start" in shown


def rendered(report: Report) -> str:
    """As GitHub shows it, roughly: tables, and HTML as it is."""
    markdown_it = pytest.importorskip("markdown_it", reason="markdown-it-py renders Markdown")
    return str(markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown.report(report)))


def test_markdown_is_made_of_tables_with_the_same_figures() -> None:
    report = made_up.report(3)
    page = rendered(report)
    assert page.count("<table>") == page.count("</details>") + 7
    for artifact in report.artifacts:
        total = artifact.stages["total"]
        cells = [*map(wording.milliseconds, (total.p90, total.p99)), wording.per_second(artifact.fps)]
        assert "\n".join(f'<td style="text-align:right">{cell}</td>' for cell in cells) in page
    assert re.search(r"<td>no GPU</td>", page)


def test_names_cannot_break_out_of_markdown() -> None:
    report = made_up.report(4, names=HOSTILE)
    page = rendered(report)
    for name in ("a|b`c``*d*_e_.onnx", "&lt;img src=x onerror=alert(1)&gt;", "\\x1b[2J\\nbell\\x07"):
        assert f"<code>{name}</code>" in page
    for markup in ("<img", "<em>", "<a "):
        assert markup not in page
    columns = {row.count("<t") for row in re.findall(r"<tr>.*?</tr>", page.split("<h2>")[1], re.S)}
    assert len(columns) == 1, "no bar of a name ends a cell"
